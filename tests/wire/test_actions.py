"""Rescues, wipes and menus, by HTTP."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from kairos_netboot.boot.actions import Action, Menu, Order, Ram
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.store.orders import order_wipe
from tests.unit.boot.sample import MAC, PROFILE
from tests.wire.served import NOW, SCRIPT, Served, tell

pytestmark = pytest.mark.wire

KEY = "ssh-ed25519 AAAA me"


async def order(served: Served, action: Action) -> None:
    await served.index.call(served.store.set_order, "alpha", Order(action=action), NOW)


def state(served: Served) -> State:
    """As it is now: a property's value would count as known."""
    return served.store.fleet().named("alpha").state


async def condemn(served: Served, *disks: str) -> None:
    def ordered() -> None:
        with served.store.writing() as connection:
            order_wipe(connection, "alpha", disks, NOW)

    await served.index.call(ordered)


async def boot(served: Served, query: str = "") -> tuple[str, str, str]:
    """The script of a boot that begins, its document's path and its reports'."""
    script = await (await served.get(SCRIPT + query)).text()
    document = re.search(r"(?:cos\.setup|config_url)=http://[^/]+(\S+)", script)
    report = re.search(r"http://[^/]+(/reports/\w+)/boot-failed", script)
    assert document
    assert report
    return script, document[1], report[1]


async def settle(served: Served) -> None:
    """As an installed machine."""
    _, _, report = await boot(served)
    for event in ("install-started", "install-finished", "ready"):
        assert (await served.client.post(f"{report}/{event}")).status == 200
    assert state(served) is State.READY


def test_an_installed_node_is_rescued_and_is_what_it_was(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        await settle(served)
        await order(served, Action.RESCUE)
        script, document, report = await boot(served)
        assert " kairos.boot_live_mode " in script
        text = await (await served.get(document)).text()
        assert KEY in text
        assert "install:" not in text
        fields = {"hostname": "alpha", "addresses": "192.0.2.9/24"}
        assert (await served.client.post(f"{report}/live-ready", data=fields)).status == 200
        assert "the live system is up, host name 'alpha', at 192.0.2.9/24" in await served.told()
        assert state(served) is State.READY
        assert "exit 1" in await served.script()  # the next boot is its disk's

    tell(tmp_path / "state", story, profile=replace(PROFILE, ssh_keys=(KEY,)))


def test_a_wipe_is_reported_disk_by_disk_and_closes_its_document(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        await settle(served)
        await condemn(served, "/dev/vdb", "/dev/vdc")
        _, document, report = await boot(served)
        assert "set -- /dev/vdb /dev/vdc\n" in await (await served.get(document)).text()
        for number, disk in enumerate(("/dev/vdb", "/dev/vdc"), start=1):
            await served.client.post(f"{report}/wipe-step/{number}", data={"disk": disk})
        assert state(served) is State.WIPING
        assert (await served.client.post(f"{report}/wiped")).status == 200
        assert state(served) is State.WIPED
        told = await served.told()
        assert "eraser: /dev/vdb is empty" in told
        assert "eraser: /dev/vdc is empty" in told
        assert "set --" not in await (await served.get(document)).text()
        assert "exit 1" in await served.script()
        kinds = [event.kind for event in served.store.timeline(served.node.id)]
        assert kinds.count(Kind.WIPE_STARTED) == 1

    tell(tmp_path / "state", story)


def test_a_wipe_that_fails_is_told_and_stays_ordered(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        await condemn(served, "/dev/vdz")
        _, _, report = await boot(served)
        reason = {"reason": "/dev/vdz is no block device here"}
        await served.client.post(f"{report}/wipe-failed", data=reason)
        assert state(served) is State.WIPING
        assert "eraser: failed: /dev/vdz is no block device here" in await served.told()

    tell(tmp_path / "state", story)


MENU = replace(
    PROFILE,
    action=Action.MENU,
    menu=Menu(items=(Action.LOCAL, Action.INSTALL, Action.RESCUE), timeout=5),
)


def test_a_menu_offers_no_install_to_a_node_that_is_not_armed(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        script = await served.script()
        assert "item rescue" in script
        assert "item install" not in script
        refused = await (await served.get(f"{SCRIPT}?choice=install")).text()
        assert "is not armed" in refused
        assert served.node.boots == 0

    tell(tmp_path / "state", story, profile=MENU)


def test_what_was_chosen_is_done_by_ipxe(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        await served.index.call(served.store.rearm, "alpha", NOW)
        assert "item install" in await served.script()
        script, _, _ = await boot(served, "?choice=install")
        assert " install-mode " in script
        assert state(served) is State.BOOTING
        nonsense = await (await served.get(f"{SCRIPT}?choice=sanboot")).text()
        assert "item rescue" in nonsense

    tell(tmp_path / "state", story, profile=MENU)


def test_what_was_chosen_is_done_by_grub(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        folder = f"/boot/{MAC.hyphens}"
        menu = await (await served.get(f"{folder}/grub.cfg")).text()
        assert f"{folder}/grub-rescue.cfg'" in menu
        chosen = await (await served.get(f"{folder}/grub-rescue.cfg")).text()
        assert "'kairos.boot_live_mode'" in chosen
        assert served.node.running is Action.RESCUE

    tell(tmp_path / "state", story, profile=MENU)


def test_data_partitions_are_made_in_the_first_boot_alone(tmp_path: Path) -> None:
    async def story(served: Served) -> None:
        assert state(served) is State.ARMED
        script, document, report = await boot(served)
        assert " kairos.ram.create_partitions=/dev/vda kairos.ram.wipe " in script
        assert "hostname: alpha" in await (await served.get(document)).text()
        assert (await served.client.post(f"{report}/ready")).status == 200
        assert state(served) is State.READY
        again, _, _ = await boot(served)
        assert " kairos.ram " in again
        assert "kairos.ram." not in again

    ram = Ram(partitions="/dev/vda", wipe=True)
    tell(tmp_path / "state", story, profile=replace(PROFILE, action=Action.RAM, ram=ram))
