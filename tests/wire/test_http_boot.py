"""UEFI HTTP Boot over loopback: loaders, the medium of one boot, images that are one file."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.store.boots import Boots
from kairos_netboot.values import Firmware, Mac
from kairos_netboot.web.keys import BOOTS, RUNNING
from kairos_netboot.web.running import Running
from tests.unit.boot.sample import MAC, PROFILE, STRANGER
from tests.wire.served import INITRD, KERNEL, MEDIUM, Served, Story, tell

pytestmark = pytest.mark.wire

FOLDER = f"/boot/{MAC.hyphens}"
DISK = f"{FOLDER}/medium.img"
SHIM, GRUB = b"shim" * 300_000, b"signed grub"
SIGNED = {"shimx64.efi": SHIM, "grubx64.efi": GRUB, "snponly.efi": b"ipxe"}
KEY = "0123456789abcdef0123456789abcdef"
UUID = "11223344-5566-7788-99aa-bbccddeeff00"
TURNED = "44332211-6655-8877-99aa-bbccddeeff00"
KEYED = replace(PROFILE, documents_opened_by=KEY)

Play = Callable[[Story], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return partial(tell, tmp_path / "state", loaders=SIGNED)


@pytest.fixture
def play_iso(tmp_path: Path) -> Play:
    return partial(tell, tmp_path / "state", loaders=SIGNED, is_medium=True, profile=KEYED)


def iso(site: Served) -> str:
    (blob,) = site.image.files
    return f"{FOLDER}/{blob.digest.hex}/kairos.iso"


def keyed(machine: str, key: str = KEY) -> str:
    return f"/documents/{key}/{machine}/cloud-config.yaml"


# Boot loaders


def test_what_a_loader_asks_for_beside_itself_is_there(play: Play) -> None:
    async def story(site: Served) -> None:
        for name, body in (("shimx64.efi", SHIM), ("/grubx64.efi", GRUB), ("//grubx64.efi", GRUB)):
            response = await site.get(f"{FOLDER}/{name}")
            assert (response.status, await response.read()) == (200, body)
            assert response.content_type == "application/efi"
        told = await site.told()
        assert "HTTP: fetched shimx64.efi (1200 kB)" in told
        assert "HTTP: fetched grubx64.efi (0 kB)" in told
        assert site.node.state is State.ARMED

    play(story)


@pytest.mark.parametrize(
    "name", ["revocations_sku.efi", "revocations_sbat.efi", "shim_certificate_0.efi"]
)
def test_what_shim_asks_for_in_vain_is_not_there_at_once(play: Play, name: str) -> None:
    async def story(site: Served) -> None:
        assert (await site.get(f"{FOLDER}/{name}")).status == 404
        assert (await site.get(f"{FOLDER}//{name}")).status == 404

    play(story)


def test_the_size_of_a_loader_is_told_and_nothing_of_it_on_the_timeline(play: Play) -> None:
    async def story(site: Served) -> None:
        head = await site.client.head(f"{FOLDER}/snponly.efi")
        assert (head.status, head.headers["Content-Length"]) == (200, "4")
        assert not [text for text in await site.told() if "snponly" in text]

    play(story)


# The medium of one boot


def test_head_tells_the_size_of_the_medium_and_begins_nothing(play: Play) -> None:
    async def story(site: Served) -> None:
        head = await site.client.head(DISK)
        size = int(head.headers["Content-Length"])
        assert head.content_type == "application/vnd.efi-img"
        assert (site.node.state, site.node.boots) == (State.ARMED, 0)
        whole = await (await site.get(DISK)).read()
        assert len(whole) == size
        assert (site.node.state, site.node.boots) == (State.BOOTING, 1)
        told = await site.told()
        assert "boot script: installs 'debian', start 1 of at most 3" in told
        assert any("fetched the boot medium with shim, GRUB, kernel and initrd" in t for t in told)

    play(story)


@pytest.mark.skipif(not shutil.which("mcopy"), reason="no mtools")
def test_the_medium_holds_what_secure_boot_starts(play: Play, tmp_path: Path) -> None:
    async def story(site: Served) -> None:
        image = tmp_path / "image"
        image.write_bytes(await (await site.get(DISK)).read())

        def inner(path: str) -> bytes:
            command = ["mcopy", "-i", str(image), f"::{path}", "-"]
            return subprocess.run(command, check=True, capture_output=True).stdout

        assert inner("EFI/BOOT/BOOTX64.EFI") == SHIM
        assert inner("EFI/BOOT/grubx64.efi") == GRUB
        assert (inner("kernel"), inner("initrd")) == (KERNEL, INITRD)
        config = inner("grub/grub.cfg").decode()
        document = re.search(r"config_url=http://[^/]+(/documents/\w+/cloud-config.yaml)", config)
        assert document
        assert "hostname: alpha" in await (await site.get(document[1])).text()

    play(story)


def test_a_download_of_the_medium_goes_on_where_it_broke_off(play: Play) -> None:
    async def story(site: Served) -> None:
        first = await site.get(DISK)
        whole, etag = await first.read(), first.headers["ETag"]
        for start in (1, 600_000, len(whole) - 40_000, len(whole) - 1):
            part = await site.get(DISK, Range=f"bytes={start}-", If_Match=etag)
            assert (part.status, await part.read()) == (206, whole[start:])
        middle = await site.get(DISK, Range="bytes=1000-2000000", If_Range=etag)
        assert await middle.read() == whole[1000:2_000_001]
        assert (await site.get(DISK, Range="bytes=5-", If_Match='"other"')).status == 412
        again = await site.get(DISK)
        assert (await again.read(), again.headers["ETag"]) == (whole, etag)
        assert site.node.boots == 1

    play(story)


def test_there_is_nothing_to_go_on_with_before_a_boot_and_after_another(play: Play) -> None:
    async def story(site: Served) -> None:
        assert (await site.get(DISK, Range="bytes=5-")).status == 412
        assert site.node.boots == 0
        await site.get(DISK)
        await site.script()  # as iPXE: a boot of its own, with secrets of its own
        assert (await site.get(DISK, Range="bytes=5-")).status == 412
        assert site.node.boots == 2

    play(story)


def test_an_installed_machine_gets_a_medium_that_leads_to_its_disk(play: Play) -> None:
    async def story(site: Served) -> None:
        _, report = await site.urls()
        await site.client.post(f"{report}/install-finished")
        head = await site.client.head(DISK)
        body = await (await site.get(DISK)).read()
        assert head.headers["Content-Length"] == str(len(body))
        assert b"chainloader" in body
        assert KERNEL not in body
        assert any("leave for the disk" in text for text in await site.told())

    play(story)


def test_a_missing_loader_is_told_before_a_boot_begins(tmp_path: Path) -> None:
    async def story(site: Served) -> None:
        response = await site.get(DISK)
        assert response.status == 400
        assert "boot loader shimx64.efi and grubx64.efi" in await response.text()
        assert site.node.state is State.ARMED

    tell(tmp_path / "state", story, loaders={"snponly.efi": b"ipxe"})


@pytest.mark.parametrize("path", ["medium.img", "grub.cfg", "script.ipxe", "autoexec.ipxe"])
def test_a_machine_nobody_named_gets_nothing_to_start(play: Play, path: str) -> None:
    async def story(site: Served) -> None:
        assert (await site.get(f"/boot/{STRANGER.hyphens}/{path}")).status == 404

    play(story)


# Scripts and configurations


def test_a_configuration_is_read_twice_in_one_boot(play: Play) -> None:
    async def story(site: Served) -> None:
        first = await (await site.get(f"{FOLDER}/grub.cfg")).text()
        assert first == await (await site.get(f"{FOLDER}//grub.cfg")).text()
        assert "linux" in first
        assert site.node.boots == 1
        assert (await site.client.head(f"{FOLDER}/grub.cfg")).status == 405

    play(story)


@pytest.mark.parametrize("agent", ["UefiHttpBoot/1.0", "GRUB 2.06"])
def test_an_agent_that_leaves_the_port_out_is_sent_to_the_port_it_came_by(
    play: Play, agent: str
) -> None:
    async def story(site: Served) -> None:
        path = f"{FOLDER}/grub.cfg"
        text = await (await site.get(path, Host="127.0.0.1", User_Agent=agent)).text()
        assert f"http://127.0.0.1:{site.client.port}/documents/" in text

    play(story)


def test_autoexec_is_the_script(play: Play) -> None:
    async def story(site: Served) -> None:
        text = await (await site.get(f"{FOLDER}/autoexec.ipxe")).text()
        assert text.startswith("#!ipxe")
        assert "kernel --name kernel" in text
        assert site.node.boots == 1

    play(story)


def test_an_ipxe_that_heard_nothing_of_us_finds_its_script(play: Play) -> None:
    async def story(site: Served) -> None:
        text = await (await site.get("/start.ipxe")).text()
        base = f"http://127.0.0.1:{site.client.port}"
        path = f"{base}/boot/${{net1/mac:hexhyp}}/script.ipxe?platform=${{platform}}"
        assert text.startswith("#!ipxe\n")
        assert f"isset ${{net1/mac}} && chain --replace {path}&arch=${{buildarch}} ||\n" in text
        script = await site.get(f"{FOLDER}/script.ipxe?platform=efi&arch=x86_64")
        assert script.status == 200
        unknown = Mac("52:54:00:00:00:98")
        assert (await site.get(f"/boot/{unknown.hyphens}/script.ipxe")).status == 404
        await site.told()
        assert site.node.firmware is Firmware.UEFI
        assert site.store.fleet().by_mac[unknown].state is State.DISCOVERED

    play(story)


# Images that are one file


def test_an_iso_begins_a_boot_when_it_is_fetched_and_not_when_its_size_is_asked(
    play_iso: Play,
) -> None:
    async def story(site: Served) -> None:
        head = await site.client.head(iso(site))
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(MEDIUM)))
        assert head.content_type == "application/vnd.efi-iso"
        assert site.node.boots == 0
        for _ in range(2):
            response = await site.get(iso(site))
            assert await response.read() == MEDIUM
        part = await site.get(iso(site), Range="bytes=100-", If_Match=response.headers["ETag"])
        assert (part.status, await part.read()) == (206, MEDIUM[100:])
        assert (site.node.state, site.node.boots) == (State.BOOTING, 1)
        assert any("fetched kairos.iso" in text for text in await site.told())

    play_iso(story)


def test_nobody_gets_an_iso_that_is_not_for_its_disk(play_iso: Play) -> None:
    async def story(site: Served) -> None:
        stranger = iso(site).replace(MAC.hyphens, STRANGER.hyphens)
        former = f"{FOLDER}/{'f' * 64}/kairos.iso"
        for path in (stranger, former, stranger.replace(".iso", ".efi")):
            for method in ("HEAD", "GET"):
                assert (await site.client.request(method, path)).status == 404
        assert (await site.get(stranger, Range="bytes=5-")).status == 404
        assert site.node.boots == 0

    play_iso(story)


def test_an_installed_machine_gets_its_iso_no_more(play_iso: Play) -> None:
    async def story(site: Served) -> None:
        await site.get(iso(site))
        text = await (await site.get(keyed(MAC.hyphens))).text()
        report = re.search(r"/reports/\w+", text)
        assert report
        await site.client.post(f"{report[0]}/install-finished")
        for method in ("HEAD", "GET"):
            assert (await site.client.request(method, iso(site))).status == 404
        assert (await site.get(iso(site), Range="bytes=5-")).status == 404
        assert site.node.state is State.INSTALLED

    play_iso(story)


# Documents by key


def test_a_key_opens_the_document_of_a_machine_that_boots(play_iso: Play) -> None:
    async def story(site: Served) -> None:
        site.index.seen(MAC, {"uuid": UUID})
        await site.get(iso(site))
        for machine in (MAC, MAC.hyphens, UUID, UUID.upper(), TURNED):
            text = await (await site.get(keyed(machine))).text()
            assert "hostname: alpha" in text
            assert 'config_url: ""' in text or "config_url: ''" in text
        report = re.search(r"/reports/\w+", text)
        assert report
        assert (await site.client.post(f"{report[0]}/install-started")).status == 200
        assert (site.node.state, site.node.boots) == (State.INSTALLING, 1)

    play_iso(story)


@pytest.mark.parametrize(
    ("machine", "key"),
    [(MAC, KEY[::-1]), (MAC, ""), (STRANGER, KEY), (TURNED, KEY), ("nonsense", KEY), ("..", KEY)],
)
def test_without_its_key_or_its_name_nothing_is_opened(
    play_iso: Play, machine: str, key: str
) -> None:
    async def story(site: Served) -> None:
        await site.get(iso(site))
        response = await site.get(keyed(machine, key))
        text = await response.text()
        assert "hostname" not in text
        assert "/reports/" not in text
        assert "alpha" not in text

    play_iso(story)


def test_a_machine_that_has_not_begun_or_has_ended_is_given_none(play_iso: Play) -> None:
    async def story(site: Served) -> None:
        assert "has not started" in await (await site.get(keyed(MAC))).text()
        await site.get(iso(site))
        report = re.search(r"/reports/\w+", await (await site.get(keyed(MAC))).text())
        assert report
        await site.client.post(f"{report[0]}/install-finished")
        text = await (await site.get(keyed(MAC))).text()
        assert "alpha is installed, not being installed" in text
        assert "hostname" not in text

    play_iso(story)


def test_a_profile_without_a_key_opens_nothing(tmp_path: Path) -> None:
    async def story(site: Served) -> None:
        await site.get(iso(site))
        assert "hostname" not in await (await site.get(keyed(MAC))).text()

    tell(tmp_path / "state", story, is_medium=True)


def test_a_server_that_was_started_since_counts_the_boot_again_and_hears_its_reports(
    play_iso: Play,
) -> None:
    async def story(site: Served) -> None:
        await site.get(iso(site))
        app = site.client.app
        assert app is not None
        app._state[BOOTS], app._state[RUNNING] = Boots(site.index), Running()
        texts = {await (await site.get(keyed(MAC))).text() for _ in range(3)}
        assert len(texts) == 1
        report = re.search(r"/reports/\w+", texts.pop())
        assert report
        assert (await site.client.post(f"{report[0]}/install-finished")).status == 200
        assert (site.node.state, site.node.boots) == (State.INSTALLED, 2)

    play_iso(story)


def test_an_image_with_a_kernel_of_its_own_needs_no_key(tmp_path: Path) -> None:
    async def story(site: Served) -> None:
        await site.script()
        text = await (await site.get(keyed(MAC))).text()
        assert "hostname" not in text
        assert site.node.boots == 1

    tell(tmp_path / "state", story, profile=KEYED)
