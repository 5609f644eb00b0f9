"""Files of boards' firmware, taken out of an image's root file system when a board asks."""

from __future__ import annotations

import fnmatch
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..values import Digest
from .squashfs_format import MAGIC
from .squashfs_reader import read_bytes, read_tree
from .tree import Inode, Kind, find, walk

# Where distributions and Kairos keep them: the first folder that has a file of the name wins.
_FOLDERS = (
    "/boot/firmware",
    "/boot/vc",
    "/boot/efi",
    "/usr/lib/raspi-firmware",
    "/usr/share/raspi-firmware",
    "/boot/dtb",
    "/boot/dtb-*",
    "/boot/dtbs",
    "/boot/dtbs/*",
    "/boot",
    "/usr/lib/firmware/*/device-tree",
    "/usr/lib/linux-image-*",
    "/usr/lib/modules/*/dtb",
    "/lib/firmware/*/device-tree",
)
_ENDS = (".elf", ".dat", ".bin", ".dtb", ".dtbo")
_LARGEST = 16 << 20  # the largest of them, start_x.elf and the like, have 4 MB
_IMAGES, _BYTES = 8, 32 << 20


class Inside:
    """The firmware's files in root file systems; some are kept in memory, the last ones asked
    for. Not for two threads at once."""

    def __init__(self, path: Callable[[Digest], Path]) -> None:
        """`path` leads to a root file system."""
        self._path = path
        self._listed: OrderedDict[Digest, Mapping[str, str]] = OrderedDict()
        self._kept: OrderedDict[tuple[Digest, str], bytes] = OrderedDict()

    def file(self, rootfs: Digest, name: str) -> bytes | None:
        """`start4.elf`, `overlays/disable-bt.dtbo`, `bcm2711-rpi-4-b.dtb`, `rockchip/rk3399.dtb`,
        by as much of its path as was asked for; raises ImageProblem."""
        inner = self.listed(rootfs).get(name.lower())
        if inner is None:
            return None
        key = (rootfs, inner)
        data = self._kept.pop(key, None)
        if data is None:
            data = read_bytes(self._path(rootfs), inner, _LARGEST)
        self._kept[key] = data
        while sum(map(len, self._kept.values())) > _BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return data

    def has_device_trees(self, rootfs: Digest) -> bool:
        return any(name.endswith(".dtb") for name in self.listed(rootfs))

    def listed(self, rootfs: Digest) -> Mapping[str, str]:
        """Each name that can be asked for → where it is in the image."""
        found = self._listed.pop(rootfs, None)
        if found is None:
            found = self._found(rootfs)
        self._listed[rootfs] = found
        while len(self._listed) > _IMAGES:
            self._listed.popitem(last=False)
        return found

    def _found(self, rootfs: Digest) -> dict[str, str]:
        """None where it is no squashfs, as other systems' than Kairos."""
        with self._path(rootfs).open("rb") as file:
            is_squashfs = file.read(len(MAGIC)) == MAGIC
        return firmware_in(read_tree(self._path(rootfs))) if is_squashfs else {}


@dataclass(frozen=True, slots=True)
class _File:
    below: str  # its folder, as `overlays/disable-bt.dtbo`
    inner: str


def firmware_in(root: Inode) -> dict[str, str]:
    """By each end of a path below its folder, in lower case: these names come from FAT. With
    several of one name, the folder that is named first has it, and there the shortest path."""
    names: dict[str, str] = {}
    for folder in _FOLDERS:
        for file in sorted(_files(root, folder), key=lambda file: file.below.count("/")):
            parts = file.below.lower().split("/")
            for start in range(len(parts)):
                names.setdefault("/".join(parts[start:]), file.inner)
    return names


def _files(root: Inode, pattern: str) -> Iterator[_File]:
    for folder in _matching(root, pattern):
        found = find(root, folder)
        if found is None:
            continue
        for below, inode in walk(found.inode):
            if not below.lower().endswith(_ENDS) or inode.kind is Kind.DIRECTORY:
                continue
            file = find(root, f"{found.path}/{below}")
            if file is not None and file.inode.kind is Kind.FILE:
                yield _File(below, file.path)


def _matching(root: Inode, pattern: str) -> list[str]:
    """The directories that a pattern with `*` for whole or part names stands for; the newest
    kernel's first."""
    folders = [""]
    for part in pattern.strip("/").split("/"):
        folders = [f"{folder}/{name}" for folder in folders for name in _names(root, folder, part)]
    return folders


def _names(root: Inode, folder: str, part: str) -> list[str]:
    if "*" not in part:
        return [part]
    found = find(root, folder or "/")
    names = found.inode.children if found else {}
    return sorted(fnmatch.filter(names, part), reverse=True)
