"""The task that gives up silent nodes, with a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.overdue import Signs
from kairos_netboot.boot.site import Site
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.store.index import Index
from kairos_netboot.store.overdue import watch_for_silence
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import IMAGE, PROFILE, SPEC
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Place:
    """A node that has begun to install, and a watch with a clock that is turned by hand."""

    def __init__(self, store: Store, index: Index) -> None:
        self.store, self.index, self.now = store, index, 0.0
        index.signs = Signs(0.0)

    def state(self) -> State:
        return self.store.fleet().named("alpha").state

    async def watched(self, now: float) -> None:
        self.now = now
        watch = asyncio.ensure_future(watch_for_silence(self.index, lambda: self.now, pause=0.001))
        await asyncio.sleep(0.1)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Place], Awaitable[None]]], None]:
    async def run(story: Callable[[Place], Awaitable[None]]) -> None:
        store = Store(tmp_path / "state")
        store.add_image(stand_in(store.blobs))
        profile = replace(PROFILE, timeout=600)
        store.apply(Site(images={}, profiles={"server": profile}, nodes={"alpha": SPEC}), NOW)
        index = Index(store)
        await index.load()
        writer = asyncio.ensure_future(index.run())
        await index.begin_boot(index.fleet.named("alpha"), BootTokens("a" * 32), "begun", IMAGE)
        try:
            await story(Place(store, index))
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            store.close()

    return lambda story: asyncio.run(run(story))


def test_a_silent_node_fails_once_and_says_what_it_did_last(
    play: Callable[[Callable[[Place], Awaitable[None]]], None],
) -> None:
    async def story(place: Place) -> None:
        await place.watched(599)
        assert place.state() is State.BOOTING
        await place.watched(600)
        await place.watched(2000)
        assert place.state() is State.FAILED
        timeline = place.store.timeline(1)
        (said,) = [event.text for event in timeline if event.kind is Kind.TIMED_OUT]
        assert said.startswith("no sign of it for 10 min while it was booting; the last was, at ")
        assert said.endswith(": begun")

    play(story)


def test_a_download_keeps_a_node_from_failing(
    play: Callable[[Callable[[Place], Awaitable[None]]], None],
) -> None:
    async def story(place: Place) -> None:
        with place.index.sending(place.index.fleet.named("alpha")):
            await place.watched(100_000)
        assert place.state() is State.BOOTING

    play(story)


def test_a_late_end_is_an_end_all_the_same(
    play: Callable[[Callable[[Place], Awaitable[None]]], None],
) -> None:
    async def story(place: Place) -> None:
        await place.watched(600)
        node = place.index.fleet.named("alpha")
        await place.index.report(node, Kind.INSTALL_FINISHED, "finished", "end")
        await place.watched(10_000)
        assert place.state() is State.INSTALLED

    play(story)
