"""`nodes upgrade | reboot | reset | run` on a state directory, with nobody serving: what is refused
before anything is ordered, and what is written where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.fleetwork import Phase
from kairos_netboot.boot.phone import DEFAULT_COMMANDS, PhoneHome
from kairos_netboot.boot.site import NodeSpec, Site
from kairos_netboot.cli.main import app
from kairos_netboot.cli.roll import RollStopped
from kairos_netboot.errors import InvalidValue, UnknownName
from kairos_netboot.store.agents import Agent, Command, add_command, read_commands, register
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import PROFILE
from tests.unit.store.sample import make_image, stand_in

ALL = PhoneHome(enabled=True, commands=(*DEFAULT_COMMANDS, "exec", "reset"))
Run = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state")
    made.add_image(stand_in(made.blobs))
    made.add_image(make_image(made.blobs, "v4.3.0", name="newer", layers=1))
    put(made, ALL)
    yield made
    made.close()


def put(store: Store, phone: PhoneHome) -> None:
    names = ("k1", "k2", "quiet")
    nodes = {
        name: NodeSpec(name=name, macs=(Mac(f"52:54:00:00:01:0{n}"),), profile="server")
        for n, name in enumerate(names)
    }
    site = Site(images={}, profiles={"server": PROFILE}, nodes=nodes, phone_home=phone)
    store.apply(site, datetime.now(UTC))
    for name in names[:2]:
        _enrol(store, name)


def _enrol(store: Store, name: str) -> None:
    node = store.fleet().named(name)
    agent = Agent(
        node=node.id, machine_id=name, registered=0, seen=0, boot_state="active", token="t"
    )
    with store.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE nodes SET phone_keys = '[\"t\"]' WHERE id = ?", (node.id,)
        )
        told = replace(agent, connected=1.0, telling=1.0, agent_version="v2.31.4")
        register(connection, node.id, "t", f"key of {name}", told, {"version": "v4.2.0"})


@pytest.fixture
def run(store: Store) -> Run:
    def call(*arguments: str) -> str:
        words = ["--state", str(store.directory), "nodes", *arguments]
        result = CliRunner(env={"COLUMNS": "250"}).invoke(app, words)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return call


def commands(store: Store) -> list[Command]:
    with store.reading() as connection:
        return read_commands(connection)


@pytest.mark.parametrize(
    "words",
    [
        ("upgrade", "--image", "newer"),
        ("reboot",),
        ("reset", "--yes"),
        ("run", "--", "uptime"),
    ],
)
def test_a_node_without_an_agent_is_told_before_anything_is_ordered(
    store: Store, run: Run, words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidValue, match="quiet has no agent that phones home: `phone-home:"):
        run(words[0], "quiet", *words[1:])
    if words[0] != "run":
        with pytest.raises(InvalidValue, match="quiet"):
            run(words[0], "k1", "quiet", *words[1:])
    assert commands(store) == []


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("run", "k1", "--", "uptime"), "exec"),
        (("reset", "k1", "--yes"), "reset"),
    ],
)
def test_what_the_site_does_not_let_it_take_is_refused_with_the_way_out(
    store: Store, run: Run, words: tuple[str, ...], command: str
) -> None:
    put(store, PhoneHome(enabled=True))
    with pytest.raises(InvalidValue, match=f"k1 does not take '{command}': add it to `phone-home"):
        run(*words)
    assert commands(store) == []


def test_a_reset_wants_a_yes(store: Store, run: Run) -> None:
    with pytest.raises(InvalidValue, match="erases the persistent data of these nodes: say --yes"):
        run("reset", "k1")
    assert commands(store) == []


@pytest.mark.parametrize("words", [("nobody",), ("cluster=none",), ("k1", "x*")])
def test_who_fits_nobody_is_an_error(store: Store, run: Run, words: tuple[str, ...]) -> None:
    with pytest.raises(UnknownName, match=r"no node"):
        run("reboot", *words)
    assert commands(store) == []


def test_an_image_that_is_not_here_is_an_error(store: Store, run: Run) -> None:
    with pytest.raises(UnknownName, match="no image 'newest' here: `kairos-netboot images list`"):
        run("upgrade", "k1", "--image", "newest")
    assert commands(store) == []


def test_an_image_that_came_as_boot_files_is_none_to_upgrade_to(store: Store, run: Run) -> None:
    with pytest.raises(InvalidValue, match="'debian' has no layers here"):
        run("upgrade", "k1", "--image", "debian")
    assert commands(store) == []


def test_what_runs_from_memory_is_not_upgraded(store: Store, run: Run) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE nodes SET running = 'ram'")
    with pytest.raises(InvalidValue, match="k1 runs from memory, so there is nothing to upgrade"):
        run("upgrade", "k1", "--image", "newer")


def test_an_upgrade_names_the_image_by_its_digest(store: Store, run: Run) -> None:
    with pytest.raises(RollStopped, match="k1 has not gone on from Pending within 1 s"):
        run("upgrade", "k1", "--image", "newer", "--timeout", "1")
    (command,) = commands(store)
    digest = store.fleet().images["newer"].digest
    assert (command.command, command.args) == ("upgrade", {"source": f"artifact:{digest.hex}"})
    assert (command.phase, command.result) == (Phase.FAILED, "the roll was stopped")


def test_what_is_not_answered_in_time_is_told_and_stays_ordered(store: Store, run: Run) -> None:
    with pytest.raises(RollStopped, match="reboot: failed on k1, k2"):
        run("reboot", "k*", "--timeout", "1")
    assert [(c.command, c.phase) for c in commands(store)] == [("reboot", Phase.PENDING)] * 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("uptime",), "uptime"),
        (("sh", "-c", "ls | wc -l"), "sh -c 'ls | wc -l'"),
        (("ls | wc -l",), "ls | wc -l"),
        (("grep", "--color", "-r", "a b"), "grep --color -r 'a b'"),
    ],
)
def test_the_words_of_a_command_become_one_line_of_shell(
    store: Store, run: Run, words: tuple[str, ...], line: str
) -> None:
    with pytest.raises(RollStopped):
        run("run", "k1", "--timeout", "1", "--", *words)
    assert [(c.command, c.args) for c in commands(store)] == [("exec", {"command": line})]


# What list and show tell


def test_the_list_has_what_the_agents_told(store: Store, run: Run) -> None:
    heading, first, _, last = run("list").splitlines()
    assert "VERSION" in heading
    assert "AGENT" in heading
    assert "v4.2.0" in first
    assert "connected" in first
    assert "connected" not in last


def test_without_agents_the_list_has_no_column_for_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "other")
    store.add_image(stand_in(store.blobs))
    spec = NodeSpec(name="k1", macs=(Mac("52:54:00:00:01:00"),), profile="server")
    store.apply(
        Site(images={}, profiles={"server": PROFILE}, nodes={"k1": spec}), datetime.now(UTC)
    )
    store.close()
    words = ["--state", str(tmp_path / "other"), "nodes", "list"]
    assert "AGENT" not in CliRunner().invoke(app, words).output


def test_a_node_is_shown_with_its_agent_and_its_last_orders(store: Store, run: Run) -> None:
    node = store.fleet().named("k1")
    for number in range(7):
        command = Command(
            id=f"c{number}",
            node=node.id,
            command="exec",
            args={"command": f"echo {number}\n" + "x" * 300},
            phase=Phase.COMPLETED,
            result=f"first\nlast {number}",
            at=number,
            changed=number,
        )
        with store.writing() as connection:
            add_command(connection, command)
    shown = run("show", "k1")
    assert "connected since" in shown
    assert "agent version" in shown
    ordered = shown.partition("what its agent was ordered last:\n")[2].splitlines()
    assert len(ordered) == 5
    assert ordered[-1].endswith("completed   last 6")
    assert max(map(len, ordered)) < 160
    assert "key of" not in shown
    assert "agent" not in run("show", "quiet").partition("\n\n")[0]
