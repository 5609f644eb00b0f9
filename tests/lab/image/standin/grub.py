"""Make a disk bootable without grub-install, which takes a minute under emulation."""

from __future__ import annotations

import struct

SECTOR = 512
# Offsets in GRUB's boot.S and diskboot.S: where boot.img reads the number of core.img's first
# sector, and where that sector lists the rest (start, count, segment).
_KERNEL_SECTOR = 0x5C
_BLOCK_LIST = SECTOR - 12
_BOOT_CODE = 440

LABEL_OF_IMAGE = "COS_ACTIVE"
CMDLINE = (
    "root=live:LABEL=COS_STATE rd.live.dir=/cOS rd.live.squashimg=active.squashfs"
    " rd.live.overlay.overlayfs net.ifnames=1 selinux=0 panic=5 rd.emergency=reboot rd.shell=0"
    f" systemd.crash_reboot=yes console=tty1 console=ttyS0 standin.image={LABEL_OF_IMAGE}"
)


def boot_sector(boot_img: bytes, first_sector: bytes, core_at: int) -> bytes:
    """The disk's first sector with GRUB's code; the partition table in it stays."""
    code = bytearray(boot_img[:_BOOT_CODE])
    struct.pack_into("<Q", code, _KERNEL_SECTOR, core_at)
    return bytes(code) + first_sector[_BOOT_CODE:SECTOR]


def core_image(core_img: bytes, core_at: int) -> bytes:
    """core.img for a place on the disk: it must know the sector after its first."""
    core = bytearray(core_img)
    struct.pack_into("<Q", core, _BLOCK_LIST, core_at + 1)
    return bytes(core)


def menu(extra_cmdline: str = "") -> str:
    """grub.cfg of the installed system."""
    cmdline = f"{CMDLINE} {extra_cmdline}".strip()
    return f"""# Written by kairos-standin-agent, which is not Kairos.
set timeout=0
if [ "$grub_platform" = pc ]; then
    serial --unit=0 --speed=115200
    terminal_output console serial
fi
menuentry "Kairos stand-in" --id cos {{
    echo "STANDIN: GRUB starts the installed system ($grub_platform)"
    linux /cOS/vmlinuz {cmdline}
    initrd /cOS/initrd
}}
"""
