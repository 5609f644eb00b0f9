"""`nodes boot | wipe | cancel`, on a state directory of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.actions import Action, Order
from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import Profile, Site
from kairos_netboot.cli.main import app
from kairos_netboot.errors import InvalidValue, UnknownName
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import PROFILE, SPEC
from tests.unit.store.sample import stand_in

Run = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    _apply(tmp_path / "state", PROFILE)
    return tmp_path / "state"


def _apply(state: Path, profile: Profile) -> None:
    store = Store(state)
    store.add_image(stand_in(store.blobs))
    site = Site(images={}, profiles={"server": profile}, nodes={"alpha": SPEC})
    store.apply(site, datetime.now(UTC))
    store.close()


@pytest.fixture
def run(state: Path) -> Run:
    def call(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["--state", str(state), "nodes", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return call


def _alpha(state: Path) -> Node:
    store = Store(state)
    try:
        return store.fleet().named("alpha")
    finally:
        store.close()


@pytest.mark.parametrize("action", [a for a in Action if a not in (Action.INSTALL, Action.WIPE)])
def test_what_destroys_nothing_is_ordered_by_its_name(
    run: Run, state: Path, action: Action
) -> None:
    assert run("boot", "alpha", action) == (
        f"alpha: {action} at its next boot from the network, once\n"
    )
    node = _alpha(state)
    assert (node.order, node.state) == (Order(action=action), State.ARMED)


@pytest.mark.parametrize(
    ("action", "verb"), [("install", "nodes reinstall alpha"), ("wipe", "nodes wipe alpha")]
)
def test_what_destroys_has_verbs_of_its_own(run: Run, action: str, verb: str) -> None:
    with pytest.raises(InvalidValue, match=verb):
        run("boot", "alpha", action)


def test_what_the_image_cannot_do_is_not_ordered(run: Run, state: Path) -> None:
    _apply(state, replace(PROFILE, image="other"))
    with pytest.raises(InvalidValue, match="'rescue' needs an image"):
        run("boot", "alpha", "rescue")
    assert _alpha(state).order is None


def test_a_machine_that_is_not_here_gets_no_order(run: Run) -> None:
    with pytest.raises(UnknownName, match="no node 'beta'"):
        run("boot", "beta", "rescue")


def test_the_disks_named_are_ordered_to_be_erased(run: Run, state: Path) -> None:
    told = run("wipe", "alpha", "--disk", "/dev/vdb", "--disk", "/dev/vdc", "--yes")
    assert "alpha is condemned: /dev/vdb, /dev/vdc will be erased" in told
    order = _alpha(state).order
    assert order is not None
    assert order.disks == ("/dev/vdb", "/dev/vdc")


def test_the_profiles_disks_are_erased_where_none_are_named(run: Run, state: Path) -> None:
    _apply(state, replace(PROFILE, disks=("/dev/sda",)))
    assert "/dev/sda will be erased" in run("wipe", "alpha", "--yes")


def test_without_disks_nothing_is_ordered(run: Run, state: Path) -> None:
    with pytest.raises(InvalidValue, match="which disks of alpha"):
        run("wipe", "alpha", "--yes")
    assert _alpha(state).state is State.ARMED


@pytest.mark.parametrize("disk", ["vdb", "/dev/vdb kairos.ram.wipe", "/dev/disk/by-label/DATA"])
def test_what_is_no_disk_is_refused(run: Run, disk: str) -> None:
    with pytest.raises(InvalidValue):
        run("wipe", "alpha", "--disk", disk, "--yes")


def test_on_a_pipe_nobody_can_be_asked(run: Run, state: Path) -> None:
    with pytest.raises(InvalidValue, match="say --yes"):
        run("wipe", "alpha", "--disk", "/dev/vdb")
    assert _alpha(state).state is State.ARMED


def test_a_wipe_is_taken_back(run: Run, state: Path) -> None:
    run("wipe", "alpha", "--disk", "/dev/vdb", "--yes")
    assert run("cancel", "alpha") == "alpha is idle, and nothing is ordered of it\n"
    assert _alpha(state).order is None
