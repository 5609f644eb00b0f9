"""The one place where boots begin, against a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import MAX_BOOTS, Kind, State
from kairos_netboot.boot.site import Site
from kairos_netboot.boot.urls import Urls
from kairos_netboot.errors import UnknownName
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.values import Stage
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import stand_in

URLS = Urls("http://192.0.2.2:8080")
Story = Callable[[Boots, Index, list[float]], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    """The story's list holds the time; it may put a later one there."""

    async def run(story: Story) -> None:
        store = Store(tmp_path / "state")
        store.add_image(stand_in(store.blobs))
        site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC})
        store.apply(site, datetime(2026, 11, 23, tzinfo=UTC))
        index = Index(store)
        await index.load()
        writer = asyncio.ensure_future(index.run())
        now = [0.0]
        try:
            await story(Boots(index, clock=lambda: now[0]), index, now)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            store.close()

    return lambda story: asyncio.run(run(story))


def boots_of(index: Index) -> int:
    return index.fleet.named("alpha").boots


def test_a_boot_is_counted_before_its_plan_is_handed_out(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        started = await boots.start(MAC, URLS, Stage.IPXE, once=True)
        assert started.plan is not None
        assert started.plan.kernel_url.startswith("http://192.0.2.2:8080/boot/52-54-00-00-00-01/")
        assert (started.node.state, started.node.boots) == (State.BOOTING, 1)
        assert index.fleet.named("alpha").boots == 1

    play(story)


@pytest.mark.parametrize(
    "loader", [Stage.GRUB, Stage.UBOOT, Stage.RASPBERRY, Stage.HTTP, Stage.IPXE]
)
def test_a_loader_that_reads_again_is_in_the_same_boot(
    play: Callable[[Story], None], loader: Stage
) -> None:
    async def story(boots: Boots, index: Index, now: list[float]) -> None:
        first = await boots.start(MAC, URLS, loader)
        now[0] = 30.0
        assert await boots.start(MAC, URLS, loader) is first
        now[0] = 30.1
        assert await boots.start(MAC, URLS, loader) is not first
        assert boots_of(index) == 2

    play(story)


def test_the_last_boot_that_is_allowed_can_be_read_again(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, now: list[float]) -> None:
        for _ in range(MAX_BOOTS):
            now[0] += 60
            last = await boots.start(MAC, URLS, Stage.GRUB)
        assert await boots.start(MAC, URLS, Stage.GRUB) is last
        now[0] += 60
        assert (await boots.start(MAC, URLS, Stage.GRUB)).plan is None

    play(story)


def test_requests_at_the_same_time_are_one_boot(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        both = await asyncio.gather(*(boots.start(MAC, URLS, Stage.GRUB) for _ in range(5)))
        assert len(set(map(id, both))) == 1
        assert boots_of(index) == 1

    play(story)


def test_ipxe_asks_once_so_that_each_script_is_a_boot(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, now: list[float]) -> None:
        for _ in range(MAX_BOOTS):
            await boots.start(MAC, URLS, Stage.IPXE, once=True)
        assert boots_of(index) == MAX_BOOTS
        assert (await boots.start(MAC, URLS, Stage.IPXE, once=True)).plan is None

    play(story)


def test_a_machine_that_was_installed_meanwhile_gets_no_second_plan(
    play: Callable[[Story], None],
) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        started = await boots.start(MAC, URLS, Stage.GRUB)
        await index.report(started.node, Kind.INSTALL_STARTED, "started", "1")
        await index.report(started.node, Kind.INSTALL_FINISHED, "written", "2")
        assert (await boots.start(MAC, URLS, Stage.GRUB)).plan is None

    play(story)


def test_a_machine_nobody_named_gets_nothing(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, _: Index, __: list[float]) -> None:
        with pytest.raises(UnknownName, match="nobody named"):
            await boots.start(STRANGER, URLS, Stage.GRUB)

    play(story)
