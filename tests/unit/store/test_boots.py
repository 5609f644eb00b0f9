"""The one place where boots begin, against a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.actions import Action, Menu, Order
from kairos_netboot.boot.decide import Decision, Outcome
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


# Orders, menus, and machines that wait


async def ordered(index: Index, action: Action) -> None:
    await index.call(index._store.set_order, "alpha", Order(action=action), datetime.now(UTC))


async def offers(index: Index, *items: Action) -> None:
    """The node's profile is a menu from now on."""
    profile = replace(PROFILE, action=Action.MENU, menu=Menu(items=items, default=items[0]))
    site = Site(images={}, profiles={"server": profile}, nodes={"alpha": SPEC})
    await index.call(index._store.apply, site, datetime.now(UTC))


def test_a_rescue_is_begun_once_and_read_again(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, now: list[float]) -> None:
        await ordered(index, Action.RESCUE)
        first = await boots.start(MAC, URLS, Stage.GRUB)
        assert first.plan is not None
        assert (first.plan.action, first.plan.max_boots) == (Action.RESCUE, 0)
        assert await boots.start(MAC, URLS, Stage.GRUB) is first
        now[0] = 60
        again = await boots.start(MAC, URLS, Stage.GRUB)  # the next boot is the profile's
        assert again.plan is not None
        assert again.plan.action is Action.INSTALL

    play(story)


def test_an_order_given_while_a_boot_can_be_read_again_is_carried_out(
    play: Callable[[Story], None],
) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        await boots.start(MAC, URLS, Stage.GRUB)
        await ordered(index, Action.RESCUE)
        started = await boots.start(MAC, URLS, Stage.GRUB)
        assert started.plan is not None
        assert started.plan.action is Action.RESCUE

    play(story)


def test_an_order_to_boot_the_disk_is_carried_out_once(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        await ordered(index, Action.LOCAL)
        assert (await boots.start(MAC, URLS, Stage.IPXE, once=True)).plan is None
        assert index.fleet.named("alpha").order is None
        assert boots_of(index) == 0
        assert (await boots.start(MAC, URLS, Stage.IPXE, once=True)).plan is not None

    play(story)


@pytest.mark.parametrize("loader", [Stage.GRUB, Stage.UBOOT])
@pytest.mark.parametrize("action", [Action.LOCAL, Action.MENU])
def test_a_loader_that_reads_twice_is_not_installed_by_the_second(
    play: Callable[[Story], None], loader: Stage, action: Action
) -> None:
    """The node is armed; the order is over by the first."""

    async def story(boots: Boots, index: Index, now: list[float]) -> None:
        await ordered(index, action)
        chosen = Action.LOCAL if (action, loader) == (Action.MENU, Stage.GRUB) else None
        for _ in range(3):
            assert (await boots.start(MAC, URLS, loader, chosen=chosen)).plan is None
        assert boots_of(index) == 0
        now[0] = 60
        assert (await boots.start(MAC, URLS, loader)).plan is not None

    play(story)


def test_a_menu_that_was_ordered_stands_until_something_is_chosen(
    play: Callable[[Story], None],
) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        await ordered(index, Action.MENU)
        for __ in range(2):
            shown = await boots.start(MAC, URLS, Stage.IPXE, once=True)
            assert shown.decision.outcome is Outcome.MENU
        chosen = await boots.start(MAC, URLS, Stage.IPXE, once=True, chosen=Action.RESCUE)
        assert chosen.plan is not None
        assert chosen.plan.action is Action.RESCUE
        assert index.fleet.named("alpha").order is None

    play(story)


def test_choosing_the_disk_is_choosing(play: Callable[[Story], None]) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        await ordered(index, Action.MENU)
        chosen = await boots.start(MAC, URLS, Stage.IPXE, once=True, chosen=Action.LOCAL)
        assert chosen.decision.outcome is Outcome.DISK
        assert index.fleet.named("alpha").order is None

    play(story)


@pytest.mark.parametrize("loader", [Stage.UBOOT, Stage.RASPBERRY])
def test_a_loader_without_a_menu_takes_its_default(
    play: Callable[[Story], None], loader: Stage
) -> None:
    async def story(boots: Boots, index: Index, _: list[float]) -> None:
        await offers(index, Action.RESCUE, Action.LOCAL)
        started = await boots.start(MAC, URLS, loader)
        assert started.plan is not None
        assert started.plan.action is Action.RESCUE

    play(story)


def test_waiting_is_no_boot_and_told_when_its_reason_is_another(
    play: Callable[[Story], None],
) -> None:
    """Hours of waiting must not fill the timeline."""

    async def story(boots: Boots, index: Index, now: list[float]) -> None:
        node = index.fleet.named("alpha")
        for reason in ("for beta", "for beta", "for gamma", "for gamma"):
            now[0] += 60
            waits = Decision(outcome=Outcome.WAIT, reason=reason, node=node)
            assert (await boots._without_plan(MAC, waits, node)).plan is None
        await index.report(node, Kind.SETTINGS, "a line to write the news before", "1")
        told = index._store.timeline(node.id)
        assert [e.text for e in told if e.kind is Kind.WAITING] == [
            "boot script: for beta",
            "boot script: for gamma",
        ]
        assert boots_of(index) == 0

    play(story)
