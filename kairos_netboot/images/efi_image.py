"""Just enough of FAT to see what is in the \\EFI\\BOOT of an image that firmware starts from."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_ENTRY = 32
_DIRECTORY = 0x10
_MAX_CLUSTERS = 256  # of one directory
_MAX_BYTES = 1 << 20


def boot_names(file: BinaryIO, start: int) -> list[bytes]:
    """The short names, 11 letters each, in the \\EFI\\BOOT of the file system at `start`; none
    where there is no such folder, or no FAT that can be read."""
    fat = _open(file, start)
    if fat is None:
        return []
    directory = fat.root()
    for name in (b"EFI".ljust(11), b"BOOT".ljust(11)):
        entry = next((e for e in _entries(directory) if e[:11] == name and e[11] & _DIRECTORY), b"")
        first = int.from_bytes(entry[26:28] + entry[20:22], "little")
        if first < 2:
            return []
        directory = fat.chain(first)
    return [entry[:11] for entry in _entries(directory)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fat:
    """Offsets and sizes in bytes; `first` is FAT32's root, 0 on the others."""

    file: BinaryIO
    bits: int
    table: int
    root_at: int
    root_size: int
    first: int
    data: int
    cluster: int

    def root(self) -> bytes:
        if self.first:
            return self.chain(self.first)
        return _read(self.file, self.root_at, min(self.root_size, _MAX_BYTES))

    def chain(self, first: int) -> bytes:
        """A directory's bytes, bounded whatever its chain says."""
        found, at, end = b"", first, {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self.bits]
        for _ in range(_MAX_CLUSTERS):
            if not 2 <= at < end or len(found) >= _MAX_BYTES:
                break
            found += _read(self.file, self.data + (at - 2) * self.cluster, self.cluster)
            at = self._after(at)
        return found

    def _after(self, cluster: int) -> int:
        offset = self.table + cluster * self.bits // 8
        word = int.from_bytes(_read(self.file, offset, 4).ljust(4, b"\0"), "little")
        if self.bits == 12:
            return word >> (4 * (cluster & 1)) & 0xFFF
        return word & (0xFFFF if self.bits == 16 else 0x0FFFFFFF)


def _open(file: BinaryIO, start: int) -> _Fat | None:
    head = _read(file, start, 512)
    if len(head) < 512 or head[510:] != b"\x55\xaa":
        return None
    sector, per_cluster, reserved, fats, entries, small, _, short = struct.unpack_from(
        "<HBHBHHBH", head, 11
    )
    large, long, first = (
        struct.unpack_from("<I", head, 32)[0],
        *struct.unpack_from("<I4xI", head, 36),
    )
    if sector not in (512, 1024, 2048, 4096) or not per_cluster or not fats:
        return None
    table, root_at = reserved * sector, (reserved + fats * (short or long)) * sector
    data = root_at + -(-entries * _ENTRY // sector) * sector
    clusters = ((small or large) * sector - data) // (per_cluster * sector)
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    return _Fat(
        file=file,
        bits=bits,
        table=start + table,
        root_at=start + root_at,
        root_size=entries * _ENTRY,
        first=first if bits == 32 else 0,
        data=start + data,
        cluster=per_cluster * sector,
    )


def _entries(directory: bytes) -> Iterator[bytes]:
    """Files and directories; not what was deleted, and no parts of long names."""
    for offset in range(0, len(directory) - _ENTRY + 1, _ENTRY):
        entry = directory[offset : offset + _ENTRY]
        if entry[0] == 0:
            return
        if entry[0] != 0xE5 and entry[11] & 0x0F != 0x0F:
            yield entry


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)
