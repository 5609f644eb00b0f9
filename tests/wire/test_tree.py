"""What each boot loader gets by TFTP, asked with a client that is not ours."""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tftpy

from kairos_netboot.boot.fleet import Node
from kairos_netboot.boot.lifecycle import MAX_BOOTS, Kind, State
from kairos_netboot.boot.site import BootFiles, Image, Site
from kairos_netboot.boot.urls import Urls, tftp_path
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.server import udp
from kairos_netboot.server.journal import Journal
from kairos_netboot.server.tftp import serve_tftp
from kairos_netboot.server.tree import Tree
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.values import Blob, Mac, Stage
from tests.unit.boot.sample import IMAGE, MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import keep

pytestmark = pytest.mark.wire

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KERNEL = bytes(range(256)) * 3000
FIRMWARE = {
    "boot/firmware/start4.elf": b"start4",
    "boot/firmware/overlays/disable-bt.dtbo": b"overlay",
    "boot/firmware/pieeprom.upd": b"an update that nobody asked for",
    "usr/lib/linux-image-6.1.0/broadcom/bcm2711-rpi-4-b.dtb": b"tree",
    "etc/shadow": b"secret",
}
LOADERS = {
    "snponly.efi": b"iPXE",
    "grub-x64.efi": b"GRUB @@kairos-netboot:tftp-server-without-brackets-@@ @@kairos-netboot:mac@@",
}


@dataclass
class Served:
    port: int
    store: Store
    index: Index
    image: Image
    neighbour: Mac | None = None

    async def get(self, name: str) -> bytes | None:
        """None where there is no such file."""
        return await asyncio.to_thread(self._get, name)

    def _get(self, name: str) -> bytes | None:
        into = io.BytesIO()
        into.close = lambda: None  # type: ignore[method-assign]  # tftpy closes what it fills
        client = tftpy.TftpClient("127.0.0.1", self.port, {"blksize": 1024})
        try:
            client.download(name, into)
        except tftpy.TftpShared.TftpFileNotFoundError:
            return None
        return into.getvalue()

    async def text(self, name: str) -> str:
        found = await self.get(name)
        assert found is not None, name
        return found.decode()

    @property
    def node(self) -> Node:
        return self.store.fleet().named("alpha")

    async def timeline(self) -> list[tuple[Kind, str]]:
        await asyncio.sleep(0.1)
        return [(event.kind, event.text) for event in self.store.timeline(self.node.id)]

    async def put(self, kind: Kind) -> None:
        await self.index.report(self.node, kind, "", f"test:{kind}")


Story = Callable[[Served], Awaitable[None]]
Play = Callable[[Story], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(story: Story) -> None:
        asyncio.run(_play(tmp_path, story))

    return run


async def _play(folder: Path, story: Story) -> None:
    store = Store(folder / "state")
    kernel, initrd = keep(store.blobs, KERNEL, b"initrd")
    image = replace(
        IMAGE, files=BootFiles(kernel=kernel, initrd=initrd, rootfs=_rootfs(store, folder))
    )
    store.add_image(image)
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
    index = Index(store)
    await index.load()
    with closing(store), closing(udp.bind("127.0.0.1", 0, option="--port")) as sock:
        served = Served(sock.getsockname()[1], store, index, image)
        tree = Tree(
            loaders=LOADERS,
            scripts=load_scripts(),
            index=index,
            boots=Boots(index),
            blobs=store.blobs,
            urls=lambda local: Urls(f"http://{local}:8080"),
            mac_at=lambda client, interface: served.neighbour,
        )
        running = [
            asyncio.ensure_future(index.run()),
            asyncio.ensure_future(serve_tftp(sock, tree.lookup, Journal(index).transferred)),
        ]
        try:
            await story(served)
        finally:
            for task in running:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*running)


def _rootfs(store: Store, folder: Path) -> Blob:
    if shutil.which("mksquashfs") is None:
        pytest.skip("mksquashfs is not installed")
    for name, data in FIRMWARE.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    made = folder / "rootfs.squashfs"
    subprocess.run(["mksquashfs", folder / "root", made, "-quiet", "-no-progress"], check=True)
    return keep(store.blobs, made.read_bytes())[0]


# Loaders and blobs


def test_a_loader_is_there_by_its_name_however_it_is_written(play: Play) -> None:
    async def story(served: Served) -> None:
        for name in ("snponly.efi", "/snponly.efi", f"{MAC.hyphens}/snponly.efi", "a\\snponly.efi"):
            assert await served.get(name) == b"iPXE", name
        for name in ("../snponly.efi", "x/../../snponly.efi", "missing.efi", "root"):
            assert await served.get(name) is None, name

    play(story)


def test_the_network_grub_is_told_whom_it_was_asked_of(play: Play) -> None:
    async def story(served: Served) -> None:
        loader = await served.text(f"{MAC.hyphens}/grub-x64.efi")
        assert loader.split() == ["GRUB", "127.0.0.1", MAC]
        assert len(loader) == len(LOADERS["grub-x64.efi"])
        assert (await served.text("grub-x64.efi")).split() == ["GRUB", "127.0.0.1"]

    play(story)


def test_a_blob_is_there_by_its_digest(play: Play) -> None:
    async def story(served: Served) -> None:
        files = served.image.files
        assert isinstance(files, BootFiles)
        name = tftp_path(MAC, files.kernel, "kernel")
        assert await served.get(name) == KERNEL
        assert await served.get(name.replace(files.kernel.digest.hex, "0" * 64)) is None
        assert (Kind.FILE, "TFTP: fetched kernel (0.8 MB)") in await served.timeline()

    play(story)


# iPXE and GRUB


@pytest.mark.parametrize("name", [f"{MAC.hyphens}/autoexec.ipxe", "autoexec.ipxe"])
def test_ipxe_finds_its_script(play: Play, name: str) -> None:
    async def story(served: Served) -> None:
        served.neighbour = MAC
        script = await served.text(name)
        assert script.startswith("#!ipxe\n")
        assert "kernel --name kernel http://127.0.0.1:8080/boot/52-54-00-00-00-01/" in script
        assert (served.node.state, served.node.boots) == (State.BOOTING, 1)

    play(story)


def test_grub_is_led_to_its_machine_s_configuration_and_files(play: Play) -> None:
    async def story(served: Served) -> None:
        assert await served.get("/grub/x86_64-efi/fs.lst") is None
        assert "configfile /grub/node-$net_default_mac.cfg" in await served.text("grub/grub.cfg")
        assert served.node.boots == 0
        config = await served.text(f"grub/node-{MAC}.cfg")
        kernel, initrd = re.findall(r"\(tftp,127\.0\.0\.1\)(/boot/[^']+)", config)
        assert await served.get(kernel) == KERNEL
        assert await served.get(initrd) == b"initrd"

    play(story)


def test_a_configuration_asked_for_again_is_the_same_boot(play: Play) -> None:
    async def story(served: Served) -> None:
        names = (f"grub/node-{MAC}.cfg", f"boot/{MAC}/grub.cfg", f"{MAC.hyphens}/grub.cfg")
        configs = {await served.text(name) for name in names}
        assert len(configs) == 1
        assert served.node.boots == 1

    play(story)


def test_grub_s_failure_is_on_the_timeline_with_its_reason(play: Play) -> None:
    async def story(served: Served) -> None:
        config = await served.text(f"boot/{MAC}/grub.cfg")
        found = re.search(r"\(tftp,127\.0\.0\.1\)(/report/\w+/boot-failed)'-", config)
        assert found
        for _ in range(2):
            assert await served.text(f"{found[1]}-kernel-secure-boot") == "# noted\n"
        told = [text for kind, text in await served.timeline() if kind is Kind.BOOT_FAILED]
        assert len(told) == 1
        assert told[0].startswith("Secure Boot is on and GRUB did not start the kernel")
        assert await served.get("report/0123/boot-failed") is None

    play(story)


def test_an_installed_machine_is_sent_to_its_disk(play: Play) -> None:
    async def story(served: Served) -> None:
        await served.text(f"boot/{MAC}/grub.cfg")
        await served.put(Kind.INSTALL_FINISHED)
        assert "chainloader /EFI/BOOT/BOOTX64.EFI" in await served.text(f"boot/{MAC}/grub.cfg")
        assert "exit 1\n" in await served.text(f"{MAC.hyphens}/autoexec.ipxe")
        assert "LOCALBOOT 1" in await served.text(f"pxelinux.cfg/01-{MAC.hyphens}")
        assert await served.get(f"{MAC.hyphens}/boot.scr.uimg") is None
        assert await served.get(f"{MAC.hyphens}/config.txt") is None
        assert served.node.boots == 1

    play(story)


def test_a_machine_that_nobody_named_gets_nothing(play: Play) -> None:
    async def story(served: Served) -> None:
        for name in ("grub.cfg", "autoexec.ipxe", "boot.scr.uimg", "config.txt", "start4.elf"):
            assert await served.get(f"{STRANGER.hyphens}/{name}") is None, name
        for name in ("autoexec.ipxe", "boot.scr.uimg", "extlinux/extlinux.conf", "config.txt"):
            assert await served.get(name) is None, name

    play(story)


# U-Boot


def test_u_boot_finds_its_configuration(play: Play) -> None:
    async def story(served: Served) -> None:
        config = await served.text(f"pxelinux.cfg/01-{MAC.hyphens}")
        kernel, initrd = re.findall(r"(?:KERNEL|INITRD) (\S+)", config)
        assert await served.get(kernel) == KERNEL
        assert await served.get(initrd) == b"initrd"
        trees = re.findall(r"FDTDIR (\S+)", config)[0]
        assert await served.get(f"{trees}/broadcom/bcm2711-rpi-4-b.dtb") == b"tree"
        assert await served.get(f"{trees}/../../etc/shadow") is None
        for name in ("C0A84D64", "default-arm-qemu", "default"):
            assert await served.get(f"pxelinux.cfg/{name}") is None

    play(story)


def test_u_boot_s_script_belongs_to_the_boot_of_its_configuration(play: Play) -> None:
    async def story(served: Served) -> None:
        served.neighbour = MAC
        script = await served.get("boot.scr.uimg")
        assert script is not None
        assert script.startswith(b"\x27\x05\x19\x56")
        assert b"setenv serverip 127.0.0.1\n" in script
        assert "LABEL install" in await served.text("extlinux/extlinux.conf")
        assert served.node.boots == 1

    play(story)


# Raspberry Pi


def test_a_raspberry_pi_finds_all_it_asks_for(play: Play) -> None:
    async def story(served: Served) -> None:
        served.index.seen(MAC, {"serial": "9ffefdef", "firmware": "raspberry-pi"})
        for folder in ("9ffefdef", MAC.hyphens):
            assert "kernel=kernel\n" in await served.text(f"{folder}/config.txt")
            assert await served.get(f"{folder}/start4.elf") == b"start4"
            assert await served.get(f"{folder}/overlays/disable-bt.dtbo") == b"overlay"
            assert await served.get(f"{folder}/bcm2711-rpi-4-b.dtb") == b"tree"
            assert await served.get(f"{folder}/kernel") == KERNEL
            assert await served.get(f"{folder}/initrd") == b"initrd"
            for name in (
                "pieeprom.upd",
                "recovery.elf",
                "dt-blob.bin",
                "etc/shadow",
                "kernel8.img",
            ):
                assert await served.get(f"{folder}/{name}") is None, name

    play(story)


def test_a_raspberry_pi_s_boot_begins_with_its_command_line(play: Play) -> None:
    async def story(served: Served) -> None:
        await served.get(f"{MAC.hyphens}/config.txt")
        await served.get(f"{MAC.hyphens}/start4.elf")
        assert served.node.boots == 0
        for _ in range(2):
            line = await served.text(f"{MAC.hyphens}/cmdline.txt")
            assert "config_url=http://127.0.0.1:8080/documents/" in line
            assert line.count("\n") == 1
        assert served.node.boots == 1

    play(story)


def test_the_brake_holds_for_every_loader(play: Play) -> None:
    async def story(served: Served) -> None:
        boots = Boots(served.index)
        for _ in range(MAX_BOOTS):
            await boots.start(MAC, Urls("http://192.0.2.9:8080"), Stage.IPXE, once=True)
        assert await served.get(f"{MAC.hyphens}/cmdline.txt") is None
        assert "chainloader" in await served.text(f"boot/{MAC}/grub.cfg")

    play(story)
