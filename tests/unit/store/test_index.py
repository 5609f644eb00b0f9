"""The fleet in memory, against a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import Site
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.errors import StoreProblem
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Story = Callable[[Index, Store], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    async def run(story: Story) -> None:
        store = Store(tmp_path / "state")
        store.add_image(stand_in(store.blobs))
        store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
        index = Index(store)
        await index.load()
        writer = asyncio.ensure_future(index.run())
        try:
            await story(index, store)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            store.close()

    return lambda story: asyncio.run(run(story))


def test_a_report_is_on_the_disk_when_it_is_acknowledged(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        node = index.fleet.named("alpha")
        await index.begin_boot(node, BootTokens("a" * 32), "begun", IMAGE)
        reports = [index.report(node, Kind.INSTALL_STEP, f"step {i}", f"s{i}") for i in range(20)]
        for number, after in enumerate(await asyncio.gather(*reports)):
            assert after.state is State.INSTALLING
            texts = [event.text for event in store.timeline(node.id)]
            assert f"step {number}" in texts

    play(story)


def test_news_reach_the_disk_without_anybody_waiting(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        node = index.fleet.named("alpha")
        for _ in range(2):
            index.note(node, Kind.DHCP_OFFER, "asked", "dhcp:1")
        await asyncio.sleep(0.3)
        kinds = [event.kind for event in store.timeline(node.id)]
        assert kinds.count(Kind.DHCP_OFFER) == 1

    play(story)


def test_the_brake_is_in_memory_as_soon_as_it_is_written(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        node = index.fleet.named("alpha")
        begun = await index.begin_boot(node, BootTokens("a" * 32), "begun", IMAGE)
        assert begun is not None
        index.brake(begun, "three starts")
        await asyncio.sleep(0.3)
        assert index.fleet.named("alpha").state is State.FAILED

    play(story)


def test_a_stranger_is_recorded_with_what_it_said(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        index.seen(STRANGER, {"firmware": "uefi"})
        await asyncio.sleep(0.3)
        stranger = index.fleet.by_mac[STRANGER]
        assert (stranger.state, stranger.facts) == (State.DISCOVERED, {"firmware": "uefi"})
        assert store.fleet().by_mac[STRANGER] == stranger

    play(story)


def test_facts_are_there_for_the_next_packet_at_once(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        index.seen(MAC, {"firmware": "bios"})
        assert index.fleet.by_mac[MAC].facts == {"firmware": "bios"}

    play(story)


def test_where_machines_reach_us_is_remembered(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        index.reached_at("http://192.0.2.2:8080")
        await asyncio.sleep(0.3)
        assert store.server_url() == "http://192.0.2.2:8080"

    play(story)


def test_a_report_is_not_acknowledged_while_the_database_fails(
    play: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(index: Index, store: Store) -> None:
        node = index.fleet.named("alpha")
        await index.begin_boot(node, BootTokens("a" * 32), "begun", IMAGE)
        index.note(node, Kind.FILE, "kernel")
        whole = store.record

        def fail(events: object) -> list[Node]:
            raise StoreProblem("the disk is full")

        monkeypatch.setattr(store, "record", fail)
        reports = [index.report(node, Kind.INSTALL_FINISHED, "end", f"s{i}") for i in range(3)]
        answers = await asyncio.gather(*reports, return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreProblem] * 3
        monkeypatch.setattr(store, "record", whole)
        after = await index.report(node, Kind.INSTALL_FINISHED, "end", "s0")
        assert after.state is State.INSTALLED
        texts = [event.text for event in store.timeline(node.id)]
        assert texts[-2:] == ["kernel", "end"]

    play(story)


def test_the_writer_outlives_a_database_that_fails(
    play: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kairos_netboot.store.index._RETRY_SECONDS", 0.05)

    async def story(index: Index, store: Store) -> None:
        node = index.fleet.named("alpha")
        whole, failed = store.record, []

        def fail_once(events: Sequence[tuple[Event, str | None]]) -> list[Node]:
            monkeypatch.setattr(store, "record", whole)
            failed.append(events)
            raise StoreProblem("locked")

        monkeypatch.setattr(store, "record", fail_once)
        index.note(node, Kind.FILE, "kernel")
        await asyncio.sleep(0.8)
        assert failed
        assert store.timeline(node.id)[-1].text == "kernel"

    play(story)


def test_the_same_news_again_and_again_are_one_line(play: Callable[[Story], None]) -> None:
    async def story(index: Index, store: Store) -> None:
        node = index.fleet.named("alpha")
        for number in range(100):
            index.note(node, Kind.LOADER, "TFTP: fetched", f"once-{number}")
        await asyncio.sleep(0.3)
        kinds = [event.kind for event in store.timeline(node.id)]
        assert kinds.count(Kind.LOADER) == 1

    play(story)
