"""Machines that ask, and the fleet in memory that has to know what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import NodeSpec, Profile, Site
from kairos_netboot.boot.unknown import Selector
from kairos_netboot.store.discovery import first_events
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE, TWO = Mac("52:54:00:00:00:01"), Mac("52:54:00:00:00:02")
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
RACK = Profile(
    name="rack",
    image="debian",
    match=(Selector(facts={"manufacturer": "Dell*"}),),
    hostname="r7-{{ index }}",
)
SITE = Site(
    images={},
    profiles={"rack": RACK},
    nodes={"alpha": NodeSpec(name="alpha", uuid=UUID, profile="rack")},
)
Story = Callable[[Index], Awaitable[None]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    opened.apply(SITE, NOW)
    yield opened
    opened.close()


def play(store: Store, story: Story) -> None:
    async def run() -> None:
        index = Index(store)
        await index.load()
        writer = asyncio.ensure_future(index.run())
        try:
            await story(index)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    asyncio.run(run())


def test_a_machine_that_was_met_has_its_name_in_memory_when_it_is_answered(store: Store) -> None:
    async def story(index: Index) -> None:
        await index.met(ONE, {"manufacturer": "Dell Inc."})
        assert index.fleet.by_mac[ONE].name == "r7-1"
        assert index.fleet == store.fleet()

    play(store, story)


def test_a_row_that_became_part_of_a_node_is_gone_from_memory(store: Store) -> None:
    async def story(index: Index) -> None:
        await index.met(ONE, {"firmware": "uefi"})
        assert index.fleet.by_mac[ONE].spec is None
        await index.met(ONE, {"uuid": UUID})
        assert [node.name for node in index.fleet.nodes] == ["alpha"]
        alpha = index.fleet.by_mac[ONE]
        assert (alpha.state, alpha.facts) == (State.ARMED, {"firmware": "uefi", "uuid": UUID})

    play(store, story)


def test_what_is_told_while_the_rest_is_written_is_not_lost(store: Store) -> None:
    async def story(index: Index) -> None:
        index.seen(ONE, {"firmware": "uefi"})
        both = (index.met(TWO), index.met(ONE, {"product": "R650"}))
        await asyncio.gather(*both)
        index.seen(ONE, {"serial": "7XK2"})
        await asyncio.sleep(0.2)
        told = {"firmware": "uefi", "product": "R650", "serial": "7XK2"}
        assert store.fleet().by_mac[ONE].facts == told

    play(store, story)


def test_a_machine_that_says_nothing_new_is_written_once_a_minute(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = store.discover, list[Mac]()

    def count(seen: dict[Mac, dict[str, str]], at: datetime) -> object:
        written.extend(seen)
        return whole(seen, at)

    monkeypatch.setattr(store, "discover", count)

    async def story(index: Index) -> None:
        for _ in range(3):
            await index.met(ONE, {"firmware": "uefi"})
        assert written == [ONE]
        monkeypatch.setattr("kairos_netboot.store.index._SEEN_SECONDS", -1.0)
        await index.met(ONE, {"firmware": "uefi"})
        assert written == [ONE, ONE]

    play(store, story)


def test_when_it_was_there_first_and_last_is_kept(store: Store) -> None:
    store.discover({ONE: {}}, NOW)
    later = NOW + timedelta(hours=1)
    (node,) = store.discover({ONE: {"firmware": "uefi"}}, later)
    assert node.seen == later
    with store.reading() as connection:
        first = first_events(connection)
    assert {number: event.at for number, event in first.items()} == {node.id: NOW}
