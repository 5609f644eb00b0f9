from __future__ import annotations

from pathlib import Path

from kairos_netboot.images.inside import Inside, firmware_in
from kairos_netboot.images.tree import Inode, Kind, new_root
from kairos_netboot.values import Digest

CAPTURE = Path(__file__).parent / "captures" / "zstd.squashfs"
ROOTFS = Digest("sha256:" + "3" * 64)


def tree(*paths: str) -> Inode:
    """Files, and links where a path says `name -> target`."""
    root = new_root()
    for path in paths:
        name, _, target = path.partition(" -> ")
        *folders, last = name.strip("/").split("/")
        here = root
        for folder in folders:
            here = here.children.setdefault(folder, Inode(kind=Kind.DIRECTORY))
        kind = Kind.SYMLINK if target else Kind.FILE
        here.children[last] = Inode(kind=kind, target=target)
    return root


def test_the_firmware_is_found_where_ubuntu_has_it() -> None:
    found = firmware_in(
        tree(
            "/boot/firmware/start4.elf",
            "/boot/firmware/bcm2711-rpi-4-b.dtb",
            "/boot/firmware/overlays/disable-bt.dtbo",
        )
    )
    assert found["start4.elf"] == "/boot/firmware/start4.elf"
    assert found["overlays/disable-bt.dtbo"] == "/boot/firmware/overlays/disable-bt.dtbo"
    assert found["bcm2711-rpi-4-b.dtb"] == "/boot/firmware/bcm2711-rpi-4-b.dtb"


def test_the_firmware_is_found_where_debian_has_it() -> None:
    found = firmware_in(
        tree(
            "/usr/lib/raspi-firmware/fixup4.dat",
            "/usr/lib/linux-image-6.1.0-9-arm64/broadcom/bcm2711-rpi-4-b.dtb",
            "/usr/lib/linux-image-6.1.0-56-arm64/rockchip/rk3399-rock-pi-4.dtb",
        )
    )
    assert found["fixup4.dat"] == "/usr/lib/raspi-firmware/fixup4.dat"
    assert found["bcm2711-rpi-4-b.dtb"].endswith("/broadcom/bcm2711-rpi-4-b.dtb")
    assert found["rockchip/rk3399-rock-pi-4.dtb"] == found["rk3399-rock-pi-4.dtb"]


def test_links_are_followed_inside_the_image() -> None:
    found = firmware_in(
        tree(
            "/boot/dtb -> /boot/dtb-6.4",
            "/boot/dtb-6.4/broadcom/a.dtb",
            "/boot/vc/start.elf -> ../../usr/fw/start.elf",
            "/usr/fw/start.elf",
        )
    )
    assert found["broadcom/a.dtb"] == "/boot/dtb-6.4/broadcom/a.dtb"
    assert found["start.elf"] == "/usr/fw/start.elf"


def test_the_folder_named_first_has_the_file_and_case_is_no_matter() -> None:
    found = firmware_in(tree("/boot/old/START.ELF", "/boot/firmware/START.ELF"))
    assert found["start.elf"] == "/boot/firmware/START.ELF"


def test_nothing_but_firmware_is_to_be_had() -> None:
    assert firmware_in(tree("/boot/vmlinuz", "/boot/config.txt", "/etc/shadow.bin")) == {}
    assert firmware_in(tree("/boot/gone.dtb -> /nowhere.dtb", "/boot/shadow.dtb/x")) == {}


def test_an_image_without_firmware_has_none() -> None:
    inside = Inside(lambda digest: CAPTURE)
    assert inside.file(ROOTFS, "start4.elf") is None
    assert not inside.has_device_trees(ROOTFS)


def test_what_is_no_squashfs_holds_no_firmware(tmp_path: Path) -> None:
    (tmp_path / "rootfs").write_bytes(b"070701 cpio")
    inside = Inside(lambda digest: tmp_path / "rootfs")
    assert inside.file(ROOTFS, "start4.elf") is None
    assert not inside.has_device_trees(ROOTFS)
