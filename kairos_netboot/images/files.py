"""Boot files as they are: named one by one, by path or URL; and whether they can be what they
are said to be."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ImageProblem
from ..store.blobs import CHUNK
from .kernel import HEAD, KernelFacts, inspect
from .reference import FilesReference, is_url
from .squashfs_format import MAGIC as SQUASHFS
from .squashfs_format import SUPERBLOCK, read_superblock

# What Linux unpacks into its first root, by lib/decompress.c: cpio, as it is (microcode comes
# first) or packed. It takes lz4 of the old format only.
_INITRD = {
    b"070701": "cpio",
    b"070702": "cpio",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"\x02\x21\x4c\x18": "lz4",
    b"\x5d\0\0": "lzma",
    b"BZh": "bzip2",
    b"\x89LZO": "lzo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootParts:
    kernel: Path
    initrd: Path
    rootfs: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenParts:
    """As they were named. `format`: of a rootfs that is no squashfs."""

    kernel: Path
    initrd: Path
    rootfs: Path | None = None
    format: str = ""


def take_files(
    reference: FilesReference, scratch: Path, download: Callable[[str, Path], None]
) -> GivenParts:
    """Copies of them in `scratch`, checked; raises ImageProblem. `download` takes a URL."""

    def take(place: str, name: str) -> Path:
        target = scratch / name
        if is_url(place):
            download(place, target)
        else:
            copy_file(Path(place), target)
        return target

    # The largest last: a mistake in the others is told before hundreds of megabytes are moved.
    kernel = take(reference.kernel, "kernel")
    check_kernel(kernel, reference.kernel)
    initrd = take(reference.initrd, "initrd")
    check_initrd(initrd, reference.initrd)
    if not reference.rootfs:
        return GivenParts(kernel=kernel, initrd=initrd)
    rootfs = take(reference.rootfs, "rootfs")
    kind = rootfs_format(rootfs)
    if not kind:
        check_rootfs(rootfs, reference.rootfs)
    return GivenParts(kernel=kernel, initrd=initrd, rootfs=rootfs, format=kind)


def check_kernel(path: Path, place: str) -> None:
    """Raise ImageProblem, naming `place`, if `path` is no kernel."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if inspect(head) == KernelFacts():
        raise ImageProblem(f"{place} is no kernel: {what(head)}")


def check_initrd(path: Path, place: str) -> None:
    """Raise ImageProblem, naming `place`, if `path` is nothing that Linux would unpack."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.lstrip(b"\0").startswith(tuple(_INITRD)):
        raise ImageProblem(f"{place} is no initrd, neither cpio nor packed: {what(head)}")


# ECMA-119, 8.1.2: the standard's identifier, in the 16th sector.
_ISO_MARK, _ISO_AT = b"CD001", 16 * 2048 + 1


def rootfs_format(path: Path) -> str:
    """`cpio` (Fedora CoreOS' rootfs, which its initrd unpacks), `iso` (k3OS installs from its own);
    empty for a squashfs, and for what is nothing of these."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(_ISO_AT)
        if file.read(len(_ISO_MARK)) == _ISO_MARK:
            return "iso"
    packed = next((kind for magic, kind in _INITRD.items() if head.startswith(magic)), "")
    return "cpio" if packed else ""


def check_rootfs(path: Path, place: str) -> None:
    """Raise ImageProblem, naming `place`, if `path` is no whole squashfs."""
    with path.open("rb") as file:
        head = file.read(SUPERBLOCK.size)
    try:
        stated = read_superblock(head).size
    except ImageProblem as problem:
        raise ImageProblem(f"{place}: {problem}, {what(head)}") from None
    if (size := path.stat().st_size) < stated:
        raise ImageProblem(f"{place} is cut off: it has {size} bytes of {stated}: get it again")


def copy_part(
    source: BinaryIO,
    size: int,
    target: BinaryIO,
    place: str,
    report: Callable[[int], None] = lambda copied: None,
) -> None:
    """`size` bytes; raises ImageProblem, naming `place`, if there are fewer. `report` hears of
    each piece."""
    while size > 0:
        chunk = source.read(min(size, CHUNK))
        if not chunk:
            raise ImageProblem(f"{place} ends early: get it again")
        target.write(chunk)
        size -= len(chunk)
        report(len(chunk))


def copy_file(path: Path, target: Path) -> None:
    """Raises ImageProblem."""
    try:
        # A FIFO would be waited for without end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageProblem(f"{path} is no file")
        source = path.open("rb")
    except FileNotFoundError:
        raise ImageProblem(f"{path}: there is no such file") from None
    except OSError as error:
        raise ImageProblem(f"{path} cannot be read: {error.strerror}") from None
    with source, target.open("xb") as file:
        copy_part(source, path.stat().st_size, file, str(path))


def what(head: bytes) -> str:
    """What a file is that is not what it should be, by its first bytes."""
    if not head:
        return "it is empty"
    if head.startswith(SQUASHFS):
        return "it is a squashfs"
    if head.lstrip().startswith(b"<"):
        return "it begins like a web page"
    return f"it begins with {head[:8]!r}"
