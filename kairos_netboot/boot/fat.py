"""A FAT file system as a list of pieces: its own few kilobytes, and the files in between.

Nothing of a file is read: its name and size are enough to know every byte around it. The same
files give the same bytes. Layout: Microsoft's "FAT General Overview of On-Disk Format", 1.03.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import InvalidValue
from .fatnames import ENTRY, Tree, entries_of, read_tree

SECTOR = 512
# Less than 4 GiB by the largest cluster: fsck.fat 4.2 rounds sizes up to clusters in 32 bits.
LARGEST_FILE = (1 << 32) - (1 << 15)
_LABEL = b"NETBOOT    "
# mtools refuses a volume whose size is no multiple of a track.
_TRACK = 32
_HEADS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a file of the volume."""

    path: str
    offset: int
    count: int


Piece: TypeAlias = bytes | Span


@dataclass(frozen=True, slots=True)
class Volume:
    """`pieces`, one after the other, are the file system."""

    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return sum(map(_length, self.pieces))

    def cut(self, start: int, count: int) -> Iterator[Piece]:
        """What lies in this part of it."""
        for piece in self.pieces:
            length = _length(piece)
            first, last = max(start, 0), min(start + count, length)
            if first < last:
                yield _cut(piece, first, last)
            start -= length


def layout(files: Sequence[tuple[str, int]]) -> Volume:
    """The volume of these files, each a path from the root (`EFI/BOOT/BOOTX64.EFI`) and a size.

    Raises InvalidValue for what FAT has no place for.
    """
    for path, size in files:
        if not 0 <= size <= LARGEST_FILE:
            raise InvalidValue(f"{path} has {size} bytes, and FAT holds {LARGEST_FILE} of a file")
    root = read_tree(files)
    shape = _shape_for(root)
    return Volume((*_head(shape), *_data(root, shape)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Sizes in sectors. `bits`: of a FAT's entries; `clusters`: how many there are for data."""

    bits: int
    per_cluster: int
    clusters: int
    fat: int
    reserved: int
    root: int  # of FAT16's root directory, which is outside of the clusters
    chains: tuple[int, ...]  # the lengths of what lies in the clusters, in its order

    @property
    def total(self) -> int:
        return self.reserved + 2 * self.fat + self.root + self.clusters * self.per_cluster

    @property
    def cluster_bytes(self) -> int:
        return self.per_cluster * SECTOR

    @property
    def used(self) -> int:
        return sum(self.chains)


# Bits, sectors per cluster, and from how many clusters on. The number of clusters alone tells
# FAT12 (up to 4084), FAT16 (up to 65524) and FAT32 apart, and some drivers count wrongly by a
# few: these keep away from the borders. Large clusters, as boot loaders walk along their chains.
_FORMATS = (
    *((32, per_cluster, 1 << 20) for per_cluster in (64, 32, 16)),
    (32, 8, 65_000),
    *((16, per_cluster, 5_000) for per_cluster in (16, 8, 4, 2)),
    (16, 1, 0),
)
_FEWEST = {16: 4_200, 32: 66_000}


def _shape_for(root: Tree) -> _Shape:
    for bits, per_cluster, fewest in _FORMATS:
        chains = tuple(_chains(root, bits, per_cluster * SECTOR))
        if sum(chains) >= fewest:
            return _shape(root, bits, per_cluster, chains)
    raise AssertionError("the last format takes any number")


def _shape(root: Tree, bits: int, per_cluster: int, chains: tuple[int, ...]) -> _Shape:
    clusters = _up(max(sum(chains), _FEWEST[bits]), _TRACK)
    fat = _ceil((clusters + 2) * bits // 8, SECTOR)
    root_sectors = _ceil(max(512 * ENTRY, root.entry_bytes), SECTOR) if bits == 16 else 0
    if root_sectors * SECTOR // ENTRY > 0xFFFF:
        raise InvalidValue("there are more names at the root than FAT16 has room for there")
    fewest = 1 if bits == 16 else 32
    reserved = _up(fewest + 2 * fat + root_sectors, _TRACK) - 2 * fat - root_sectors
    return _Shape(
        bits=bits,
        per_cluster=per_cluster,
        clusters=clusters,
        fat=fat,
        reserved=reserved,
        root=root_sectors,
        chains=chains,
    )


def _chains(root: Tree, bits: int, cluster: int) -> Iterator[int]:
    """How many clusters each directory and each file takes."""
    for tree in root.directories():
        if bits == 32 or tree is not root:
            yield max(1, _ceil(tree.entry_bytes, cluster))
    for file in root.files():
        yield _ceil(file.size, cluster)


def _data(root: Tree, shape: _Shape) -> Iterator[Piece]:
    """FAT16's root directory and the clusters."""
    in_clusters = [tree for tree in root.directories() if shape.bits == 32 or tree is not root]
    firsts, following = dict[Tree, int](), 2
    for tree, length in zip([*in_clusters, *root.files()], shape.chains, strict=True):
        firsts[tree] = following if length else 0  # an empty file has no cluster
        following += length
    if shape.root:
        yield entries_of(root, firsts, _LABEL).ljust(shape.root * SECTOR, b"\0")
    for tree in in_clusters:
        data = entries_of(tree, firsts, _LABEL)
        yield data.ljust(_up(len(data), shape.cluster_bytes), b"\0")
    for file in root.files():
        if file.size:
            yield Span(path=file.path, offset=0, count=file.size)
            yield bytes(-file.size % shape.cluster_bytes)
    yield bytes((shape.clusters - shape.used) * shape.cluster_bytes)


def _head(shape: _Shape) -> Iterator[bytes]:
    """The reserved sectors and both copies of the FAT."""
    sectors = [_boot_sector(shape)]
    if shape.bits == 32:
        sectors.append(_info_sector(shape))
        sectors += [bytes(SECTOR)] * 4 + sectors[:2]  # and their copies, from sector 6 on
    yield b"".join(sectors).ljust(shape.reserved * SECTOR, b"\0")
    fat = _fat(shape)
    yield fat
    yield fat


def _boot_sector(shape: _Shape) -> bytes:
    small = shape.total if shape.total < 1 << 16 and shape.bits == 16 else 0
    common = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\xfe\x90",  # a jump to itself: nothing here starts a BIOS
        b"MSWIN4.1",
        SECTOR,
        shape.per_cluster,
        shape.reserved,
        2,
        shape.root * SECTOR // ENTRY,
        small,
        0xF8,
        shape.fat if shape.bits == 16 else 0,
        _TRACK,
        _HEADS,
        0,
        0 if small else shape.total,
    )
    extra = b""
    if shape.bits == 32:
        extra = struct.pack("<IHHIHH12x", shape.fat, 0, 0, 2, 1, 6)
    kind = b"FAT16   " if shape.bits == 16 else b"FAT32   "
    extra += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, _serial(shape), _LABEL, kind)
    return (common + extra).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _info_sector(shape: _Shape) -> bytes:
    free = shape.clusters - shape.used
    counts = struct.pack("<4sII", b"rrAa", free, 2 + shape.used)
    return b"RRaA".ljust(484, b"\0") + counts + bytes(14) + b"\x55\xaa"


def _serial(shape: _Shape) -> int:
    """The volume's number: of what is in it, as nothing here is by chance."""
    return zlib.crc32(repr((shape.bits, shape.total, shape.chains)).encode())


def _fat(shape: _Shape) -> bytes:
    end = 0xFFFF if shape.bits == 16 else 0x0FFFFFFF
    table = array("H" if shape.bits == 16 else "I", [end & ~7, end])
    for length in filter(None, shape.chains):
        following = len(table) + 1
        table.extend(range(following, following + length - 1))
        table.append(end)
    if sys.byteorder == "big":
        table.byteswap()
    return table.tobytes().ljust(shape.fat * SECTOR, b"\0")


def _length(piece: Piece) -> int:
    return piece.count if isinstance(piece, Span) else len(piece)


def _cut(piece: Piece, first: int, last: int) -> Piece:
    if isinstance(piece, Span):
        return Span(path=piece.path, offset=piece.offset + first, count=last - first)
    return piece[first:last]


def _ceil(number: int, unit: int) -> int:
    return -(-number // unit)


def _up(number: int, unit: int) -> int:
    return _ceil(number, unit) * unit
