"""Orders in a real store: what they change, and when they end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.actions import STARTS, Action, Order
from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import Site
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.errors import InvalidValue, UnknownName
from kairos_netboot.store.orders import cancel, order_wipe
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import IMAGE, PROFILE, SPEC
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DISKS = ("/dev/vdb",)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    opened.add_image(stand_in(opened.blobs))
    opened.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
    yield opened
    opened.close()


def wiped(store: Store, *disks: str) -> Node:
    with store.writing() as connection:
        return order_wipe(connection, "alpha", disks, NOW)


def cancelled(store: Store) -> Node:
    with store.writing() as connection:
        return cancel(connection, "alpha", NOW)


def happens(store: Store, kind: Kind) -> Node:
    node = store.fleet().named("alpha")
    (after,) = store.record([(Event(node=node.id, at=NOW, kind=kind, text=kind), None)])
    return after


def begins(store: Store, action: Action, node: Node | None = None) -> Node | None:
    node = node or store.fleet().named("alpha")
    event = Event(node=node.id, at=NOW, kind=STARTS[action], text="boot")
    return store.begin_boot(node, BootTokens("a" * 32), event, IMAGE, action)


# Orders that destroy nothing


def test_an_order_ends_with_the_boot_that_carries_it_out(store: Store) -> None:
    ordered = store.set_order("alpha", Order(action=Action.RESCUE), NOW)
    assert ordered.order == Order(action=Action.RESCUE)
    begun = begins(store, Action.RESCUE)
    assert begun is not None
    assert (begun.order, begun.running, begun.state) == (None, Action.RESCUE, State.ARMED)


def test_no_boot_begins_that_was_decided_on_before_the_order(store: Store) -> None:
    before = store.fleet().named("alpha")
    store.set_order("alpha", Order(action=Action.RESCUE), NOW)
    assert begins(store, Action.INSTALL, before) is None


def test_an_order_is_taken_back_and_leaves_the_state(store: Store) -> None:
    store.set_order("alpha", Order(action=Action.RESCUE), NOW)
    after = cancelled(store)
    assert (after.order, after.state) == (None, State.ARMED)
    assert store.timeline(after.id)[-1].text == "taken back by hand: no rescue at its next boot"


def test_nothing_ordered_is_nothing_to_take_back(store: Store) -> None:
    with pytest.raises(InvalidValue, match="nothing is ordered of alpha: it is armed"):
        cancelled(store)


@pytest.mark.parametrize("action", [Action.INSTALL, Action.WIPE])
def test_what_destroys_has_orders_of_its_own(store: Store, action: Action) -> None:
    with pytest.raises(InvalidValue, match="destroys data"):
        store.set_order("alpha", Order(action=action, disks=DISKS), NOW)
    assert store.fleet().named("alpha").order is None


# A wipe


def test_a_node_is_condemned_with_the_disks_that_were_named(store: Store) -> None:
    node = wiped(store, *DISKS)
    assert (node.state, node.boots) == (State.CONDEMNED, 0)
    assert node.order == Order(action=Action.WIPE, disks=DISKS)
    assert "/dev/vdb will be erased" in store.timeline(node.id)[-1].text


def test_the_profiles_disks_are_kept_as_they_were_when_it_was_ordered(store: Store) -> None:
    profile = replace(PROFILE, disks=("/dev/sda",))
    store.apply(Site(images={}, profiles={"server": profile}, nodes={"alpha": SPEC}), NOW)
    node = wiped(store)
    assert node.order is not None
    assert node.order.disks == ("/dev/sda",)


def test_without_a_disk_nothing_is_ordered(store: Store) -> None:
    before = store.fleet().named("alpha")
    with pytest.raises(InvalidValue, match="which disks of alpha"):
        wiped(store)
    assert store.fleet().named("alpha") == before


def test_a_machine_that_nobody_named_is_not_wiped(store: Store) -> None:
    with pytest.raises(UnknownName), store.writing() as connection:
        order_wipe(connection, "beta", DISKS, NOW)


def test_the_disks_are_known_until_they_are_erased(store: Store) -> None:
    wiped(store, *DISKS)
    begun = begins(store, Action.WIPE)
    assert begun is not None
    assert (begun.state, begun.boots, begun.running) == (State.WIPING, 1, Action.WIPE)
    assert begun.order == Order(action=Action.WIPE, disks=DISKS)
    assert begun.opens_document
    after = happens(store, Kind.WIPE_FINISHED)
    assert (after.state, after.order, after.opens_document) == (State.WIPED, None, False)


@pytest.mark.parametrize("kind", [Kind.BRAKED, Kind.TIMED_OUT, Kind.DISARMED])
def test_whatever_ends_a_wipe_ends_its_order(store: Store, kind: Kind) -> None:
    wiped(store, *DISKS)
    begins(store, Action.WIPE)
    assert happens(store, kind).order is None


def test_arming_ends_it_too(store: Store) -> None:
    wiped(store, *DISKS)
    armed = store.rearm("alpha", NOW)
    assert (armed.state, armed.order) == (State.ARMED, None)


def test_a_late_report_of_an_installer_is_not_heard_any_more(store: Store) -> None:
    begun = begins(store, Action.INSTALL)
    assert begun is not None
    assert begun.report_keys
    assert wiped(store, *DISKS).report_keys == frozenset()


def test_nothing_else_is_ordered_of_a_condemned_node(store: Store) -> None:
    wiped(store, *DISKS)
    with pytest.raises(InvalidValue, match="nodes cancel alpha"):
        store.set_order("alpha", Order(action=Action.RESCUE), NOW)
    assert store.fleet().named("alpha").order == Order(action=Action.WIPE, disks=DISKS)


def test_a_condemned_node_is_spared(store: Store) -> None:
    condemned = wiped(store, *DISKS)
    after = cancelled(store)
    assert (after.state, after.order) == (State.IDLE, None)
    assert begins(store, Action.WIPE, condemned) is None


# From memory


def test_a_boot_that_writes_disks_begins_in_the_state_it_was_decided_in(store: Store) -> None:
    armed = store.fleet().named("alpha")
    happens(store, Kind.DISARMED)
    assert begins(store, Action.RAM, armed) is None
    assert begins(store, Action.RAM) is not None
