"""Kernel, initrd and root file system out of a Kairos ISO, without mounting it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from pycdlib import PyCdlib
from pycdlib.dr import DirectoryRecord
from pycdlib.pycdlibexception import PyCdlibException, PyCdlibInvalidInput

from ..errors import ImageProblem
from .files import BootParts, check_initrd, check_kernel, check_rootfs, copy_part

_KERNEL, _INITRD, _ROOTFS = "/boot/kernel", "/boot/initrd", "/rootfs.squashfs"
# What the lists of files of an ISO may take, in bytes; those of a Kairos ISO take 100 KB.
# Each file that is listed takes 6 KB of memory.
_MAX_LISTS = 1 << 20

Extents: TypeAlias = list[tuple[int, int]]  # offset in the ISO, length


def extract_iso(
    path: Path, scratch: Path, report: Callable[[int, int], None] = lambda done, total: None
) -> BootParts:
    """The three files, checked, in `scratch`; raises ImageProblem. `report` hears how many bytes
    are done, of how many."""
    found = _find(path)
    parts = BootParts(
        kernel=scratch / "kernel", initrd=scratch / "initrd", rootfs=scratch / "rootfs"
    )
    total, done = sum(length for extents in found.values() for _, length in extents), 0

    def count(copied: int) -> None:
        nonlocal done
        done += copied
        report(done, total)

    with path.open("rb") as iso:
        _copy(iso, found[_KERNEL], parts.kernel, count)
        check_kernel(parts.kernel, f"its {_KERNEL}")
        _copy(iso, found[_INITRD], parts.initrd, count)
        check_initrd(parts.initrd, f"its {_INITRD}")
        _copy(iso, found[_ROOTFS], parts.rootfs, count)
        check_rootfs(parts.rootfs, f"its {_ROOTFS}")
    return parts


def _copy(iso: BinaryIO, extents: Extents, target: Path, report: Callable[[int], None]) -> None:
    with target.open("xb") as file:
        for offset, length in extents:
            iso.seek(offset)
            copy_part(iso, length, file, "it", report)


def _find(path: Path) -> dict[str, Extents]:
    """Where each of the three files lies."""
    try:
        if not path.is_file():
            raise ImageProblem("there is no such file: write iso:FILE or iso:URL")
        with path.open("rb", buffering=0) as file, _opened(file) as iso:
            found = {inner: _extents(iso, inner) for inner in (_KERNEL, _INITRD, _ROOTFS)}
            stated = iso.pvd.space_size * iso.logical_block_size
    except OSError as error:
        raise ImageProblem(f"it cannot be read: {error.strerror or error}") from None
    # PyCdlib cuts the sizes of files where the ISO ends, without a word.
    size, extents = path.stat().st_size, [one for listed in found.values() for one in listed]
    if size < stated or size < sum(length for _, length in extents):
        raise ImageProblem(f"it is cut off: it has {size} bytes of {stated}: get it again")
    return found


@contextmanager
def _opened(file: io.FileIO) -> Iterator[PyCdlib]:
    iso = PyCdlib()
    try:
        iso.open_fp(cast(BinaryIO, _Lists(file)))
        yield iso
    # Damaged lists make it fail in all of these ways; it has no loops to be caught in.
    except (
        PyCdlibException,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ImageProblem(
            f"it is no ISO that can be read ({error}): if it is one, take its {_KERNEL}, {_INITRD}"
            f" and {_ROOTFS} out of it, and write files:kernel=X,initrd=X,rootfs=X"
        ) from error


class _Lists(io.RawIOBase):
    """An ISO whose lists are read, and are not endless."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._left = _MAX_LISTS

    def read(self, size: int = -1, /) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise ImageProblem("it lists more files than a Kairos ISO can have")
        return self._file.read(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)


def _extents(iso: PyCdlib, inner: str) -> Extents:
    """Under its own name if the ISO knows long ones, or under what ISO 9660 makes of it."""
    # By its Rock Ridge path, PyCdlib finds the last piece of a file above 4 GiB only.
    if path := _path(iso, inner, _has_long_name):
        return iso.get_file_byte_extents(iso_path=path)
    if iso.has_joliet():
        with suppress(PyCdlibInvalidInput):  # it has no such file
            return iso.get_file_byte_extents(joliet_path=inner)
    if path := _path(iso, inner, _has_short_name):
        return iso.get_file_byte_extents(iso_path=path)
    raise ImageProblem(
        f"it has no {inner}, as every Kairos ISO has but those for trusted boot: take one without"
        " trusted boot"
    )


def _path(iso: PyCdlib, inner: str, is_called: Callable[[DirectoryRecord, str], bool]) -> str:
    """Its path in names of ISO 9660; empty: there is none."""
    path = ""
    for name in inner.strip("/").split("/"):
        children = iso.list_children(iso_path=path or "/")
        child = next((child for child in children if is_called(child, name)), None)
        if child is None:
            return ""
        path += "/" + child.file_identifier().decode("utf-8")
    return path


def _has_long_name(child: DirectoryRecord, name: str) -> bool:
    return child.rock_ridge is not None and child.rock_ridge.name() == name.encode()


def _has_short_name(child: DirectoryRecord, name: str) -> bool:
    """KERNEL.;1 is 'kernel': upper case, a dot, a version, often 8 letters and 3 at most."""
    stem, _, suffix = name.upper().partition(".")
    found = child.file_identifier().upper().partition(b";")[0].decode("ascii", "replace")
    known = found if "." in found else f"{found}."
    return known in (f"{stem}.{suffix}", f"{stem[:8]}.{suffix[:3]}")
