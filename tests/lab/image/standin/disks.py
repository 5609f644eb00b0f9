"""Choose the disk, and lay it out as Kairos does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
NOT_DISKS = ("dm-", "loop", "ram", "sr", "fd", "zram", "md", "nbd")
FALLBACK = "/dev/sda"

_EFI = "C12A7328-F81F-11D2-BA4B-00C93EC93B3B"
_BIOS = "21686148-6449-6E6F-744E-656564454649"
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


class DiskError(Exception):
    """The disk that was asked for cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A block device of this machine."""

    name: str
    size: int
    removable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition to make; size None is the rest of the disk."""

    name: str
    label: str
    mib: int | None
    kind: str = _LINUX


def largest(disks: Iterable[Disk]) -> str:
    """The device that `auto` means."""
    fixed = [d for d in disks if not d.removable and not d.name.startswith(NOT_DISKS) and d.size]
    return f"/dev/{max(fixed, key=lambda d: d.size).name}" if fixed else FALLBACK


def list_disks(sys_block: Path = Path("/sys/block")) -> list[Disk]:
    """The block devices, as the kernel lists them."""
    return [
        Disk(
            name=path.name,
            size=int((path / "size").read_text()) * 512,
            removable=(path / "removable").read_text().strip() == "1",
        )
        for path in sorted(sys_block.iterdir())
    ]


def choose(device: str, disks: Iterable[Disk]) -> str:
    """The device to install on; links of /dev/disk are followed, a chooser script is asked."""
    if device.startswith("script://"):
        command = [device.removeprefix("script://")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        device = done.stdout.strip() if done.returncode == 0 else f"(none: {command[0]} failed)"
    return largest(disks) if device in ("", "auto") else os.path.realpath(device)


def check(device: str, needed: int, mounts: str) -> None:
    """Raise DiskError unless the device is there, large enough and not in use."""
    if not Path(device).is_block_device():
        raise DiskError(f"device {device} does not exist: nothing was partitioned")
    if any(line.startswith(device) for line in mounts.splitlines()):
        raise DiskError(f"a partition of {device} is mounted: nothing was partitioned")
    handle = os.open(device, os.O_RDONLY)
    size = os.lseek(handle, 0, os.SEEK_END)
    os.close(handle)
    if size < needed:
        have, need = size // MIB, needed // MIB
        raise DiskError(f"device {device} has {have} MiB of {need}: nothing was partitioned")


def layout(image: int) -> list[Partition]:
    """Kairos' partitions for an image of so many bytes, for BIOS and UEFI at once."""
    mib = image // MIB + 1
    return [
        Partition(name="bios", label="", mib=1, kind=_BIOS),
        Partition(name="efi", label="COS_GRUB", mib=64, kind=_EFI),
        Partition(name="oem", label="COS_OEM", mib=64),
        Partition(name="recovery", label="COS_RECOVERY", mib=2 * mib + 200),
        Partition(name="state", label="COS_STATE", mib=2 * mib + 1000),
        Partition(name="persistent", label="COS_PERSISTENT", mib=None),
    ]


def needed_bytes(partitions: Iterable[Partition]) -> int:
    """The smallest disk that holds them, with 64 MiB for the last."""
    return sum(64 if p.mib is None else p.mib for p in partitions) * MIB + 2 * MIB


def sfdisk_script(partitions: Iterable[Partition]) -> str:
    """The partition table in sfdisk's language."""
    lines = ["label: gpt"]
    for part in partitions:
        size = "" if part.mib is None else f"size={part.mib}MiB, "
        lines.append(f'{size}type={part.kind}, name="{part.name}"')
    return "\n".join(lines) + "\n"


def partition_path(device: str, number: int) -> str:
    """/dev/vda and 3 give /dev/vda3; /dev/nvme0n1 and 3 give /dev/nvme0n1p3."""
    return f"{device}p{number}" if device[-1].isdigit() else f"{device}{number}"
