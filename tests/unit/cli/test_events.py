"""`events`, `nodes log` and what `nodes` shows of an install, without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.site import Site
from kairos_netboot.cli.events import duration_of
from kairos_netboot.cli.main import app
from kairos_netboot.errors import InvalidValue
from kairos_netboot.store.logs import put_report
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import MAC, PROFILE, SPEC

Run = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.apply(
        Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), datetime.now(UTC)
    )
    yield store
    store.close()


@pytest.fixture
def run(tmp_path: Path, store: Store) -> Run:
    def call(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["--state", str(tmp_path / "state"), *arguments])
        if result.exception:
            raise result.exception
        return result.output

    return call


def happen(store: Store, *kinds: Kind, age: timedelta = timedelta()) -> None:
    at = datetime.now(UTC) - age
    store.record([(Event(node=1, at=at, kind=kind, text=f"it {kind}"), None) for kind in kinds])


def test_events_of_all_nodes_are_shown_the_newest_last(store: Store, run: Run) -> None:
    happen(store, Kind.BOOT_STARTED, Kind.FILE)
    *_, before, last = run("events").splitlines()
    assert "alpha" in last
    assert last.endswith("it file")
    assert before.endswith("it boot-started")


def test_without_since_the_last_twenty_are_shown(store: Store, run: Run) -> None:
    happen(store, *[Kind.FILE] * 50)
    assert len(run("events").splitlines()) == 20
    assert len(run("events", "--node", "alpha").splitlines()) == 20


def test_since_takes_all_from_then_on(store: Store, run: Run) -> None:
    happen(store, Kind.FILE, age=timedelta(hours=3))
    happen(store, *[Kind.DOCUMENT] * 30)
    assert len(run("events", "--since", "1h").splitlines()) == 30
    assert "it file" in run("events", "--since", "1d")


def test_a_node_of_that_name_has_to_be_there(run: Run) -> None:
    with pytest.raises(Exception, match="no node 'beta' here"):
        run("events", "--node", "beta")


def test_json_has_the_state_that_each_event_left(store: Store, run: Run) -> None:
    happen(store, Kind.BOOT_STARTED)
    row = json.loads(run("events", "--json").splitlines()[-1])
    assert (row["node"], row["event"], row["state"]) == ("alpha", "boot-started", "booting")
    assert datetime.fromisoformat(row["at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800)]
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert duration_of(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1w", "1h30m", "٣h", "1234567s"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(InvalidValue, match="write it like 30m, 1h or 2d"):
        duration_of(text)


def test_follow_goes_on_without_a_server(store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kairos_netboot", "--state", str(tmp_path / "state")]
    command += ["events", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            happen(store, Kind.BOOT_STARTED)
            second = json.loads(process.stdout.readline())
            happen(store, Kind.INSTALL_STARTED)
            third = json.loads(process.stdout.readline())
        finally:
            process.kill()
    assert [row["state"] for row in (first, second, third)] == ["armed", "booting", "installing"]


def test_an_install_s_progress_is_listed(store: Store, run: Run) -> None:
    happen(store, Kind.BOOT_STARTED, Kind.INSTALL_STARTED, Kind.INSTALL_STEP)
    store.discover({MAC: {"progress": "active (2 of 6, 33 %)"}}, datetime.now(UTC))
    assert run("nodes", "list").rstrip().endswith("installer: active (2 of 6, 33 %)")
    assert "progress " in run("nodes", "show", "alpha")
    happen(store, Kind.INSTALL_FINISHED)
    assert run("nodes", "list").rstrip().endswith("it install-finished")
    assert "progress " not in run("nodes", "show", "alpha")


def test_what_runs_is_listed_where_somebody_has_told(store: Store, run: Run) -> None:
    assert "VERSION" not in run("nodes", "list")
    store.discover({MAC: {"version": "v4.2.0", "boot-state": "passive"}}, datetime.now(UTC))
    headings, row = run("nodes", "list").splitlines()
    assert ("BOOT" in headings, "VERSION" in headings) == (True, True)
    assert "passive   v4.2.0" in row


def test_the_last_words_of_a_failed_installer_are_shown(store: Store, run: Run) -> None:
    happen(store, Kind.BOOT_STARTED)
    with store.writing() as connection:
        put_report(connection, 1, datetime.now(UTC), ["ERR no space left"])
    assert "no space" not in run("nodes", "show", "alpha")
    happen(store, Kind.INSTALL_FAILED)
    shown = run("nodes", "show", "alpha")
    assert "what its installer said last:\nERR no space left\n" in shown
    assert "did last" in shown


def test_a_log_is_shown_with_its_sources(store: Store, run: Run) -> None:
    assert "alpha has said nothing" in run("nodes", "log", "alpha")
    with store.writing() as connection:
        put_report(connection, 1, datetime.now(UTC), ["one", "two"])
    first, second = run("nodes", "log", "alpha").splitlines()
    assert first.endswith("installer   one")
    assert second.endswith("installer   two")
