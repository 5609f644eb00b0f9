from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.overdue import OWN
from kairos_netboot.boot.site import Site
from kairos_netboot.store.events import (
    Change,
    change_by,
    entries_after,
    entry_before,
    last_of,
    newest_entry,
)
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import PROFILE, SPEC

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KINDS = (
    Kind.BOOT_STARTED,
    Kind.FILE,
    Kind.INSTALL_STARTED,
    Kind.INSTALL_STEP,
    Kind.TIMED_OUT,
    Kind.INSTALL_STEP,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One named node, then one event a minute."""
    store = Store(tmp_path / "state")
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
    node = store.fleet().named("alpha").id
    for minute, kind in enumerate(KINDS, 1):
        at = NOW + timedelta(minutes=minute)
        store.record([(Event(node=node, at=at, kind=kind, text=f"{minute}"), None)])
    yield store
    store.close()


def test_events_are_read_on_from_where_somebody_was(store: Store) -> None:
    with store.reading() as connection:
        last = newest_entry(connection)
        first, *rest = entries_after(connection, last - 3, limit=10)
        again = entries_after(connection, first.id, limit=10)
        few = entries_after(connection, 0, limit=2)
    assert again == rest
    assert [entry.event.text for entry in again] == ["5", "6"]
    assert len(few) == 2


def test_each_event_s_change_follows_from_the_log(store: Store) -> None:
    with store.reading() as connection:
        changes = [change_by(connection, e) for e in entries_after(connection, 0, limit=100)]
    assert changes[-6:] == [
        Change(before=State.ARMED, after=State.BOOTING),
        Change(before=State.BOOTING, after=State.BOOTING),
        Change(before=State.BOOTING, after=State.INSTALLING),
        Change(before=State.INSTALLING, after=State.INSTALLING),
        Change(before=State.INSTALLING, after=State.FAILED),
        Change(before=State.FAILED, after=State.FAILED),
    ]
    assert store.fleet().named("alpha").state is changes[-1].after


def test_events_of_one_node_leave_others_out(store: Store) -> None:
    with store.reading() as connection:
        assert entries_after(connection, 0, limit=100, node=999) == []


def test_a_moment_lies_behind_an_event(store: Store) -> None:
    moment = (NOW + timedelta(minutes=4, seconds=30)).isoformat()
    with store.reading() as connection:
        number = entry_before(connection, moment)
        (fifth, _) = entries_after(connection, number, limit=10)
        assert entry_before(connection, "1970-01-01") == 0
    assert fifth.event.text == "5"


def test_the_last_of_a_node_s_own_doing_is_found(store: Store) -> None:
    with store.reading() as connection:
        last, nothing = last_of(connection, 1, OWN), last_of(connection, 999, OWN)
    assert last is not None
    assert last.text == "6"
    assert nothing is None
