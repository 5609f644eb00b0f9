"""Squashfs 4.0 as bytes: superblock, metadata blocks, inodes, directories.

Read here and not by a tool: rdsquashfs lists no sizes, and neither it nor unsquashfs escapes line
breaks in names. The kernel's Documentation/filesystems/squashfs.rst has the format.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from lzma import FORMAT_XZ, LZMADecompressor
from typing import BinaryIO, TypeAlias

import zstandard

from ..errors import ImageProblem

MAGIC = b"hsqs"
SUPERBLOCK = struct.Struct("<4s4I6H8Q")
NO_FRAGMENT = 0xFFFFFFFF
_METADATA = 8192  # of each block of metadata, once it is unpacked
_STORED = 0x8000  # set in its length: it is not packed
_MAX_BLOCKS = 1 << 14  # 128 MiB; 1,000,000 files take half of it
_MAX_LISTING = 16 << 20  # of one directory: 500,000 names
_MAX_TARGET = 4096  # Linux: PATH_MAX
_FAR = 1 << 40  # file systems refuse to seek beyond some size, each beyond another
_XZ_MEMORY = 128 << 20

DIRECTORY, FILE, SYMLINK = 1, 2, 3
_EXTENDED = 7  # the types above it are the same, with more fields
_HEADER = struct.Struct("<4H2I")
_DIRECTORY, _LONG_DIRECTORY = struct.Struct("<2I2HI"), struct.Struct("<4I2HI")
_FILE, _LONG_FILE = struct.Struct("<4I"), struct.Struct("<3Q4I")
_SYMLINK = struct.Struct("<2I")
_DOTS = 3  # what the size of a directory counts for '.' and '..', which are not stored
_LISTING = struct.Struct("<3I")
_NAME = struct.Struct("<HhHH")

Unpack: TypeAlias = Callable[[bytes, int], bytes]
Ref: TypeAlias = int  # where an inode is: its block of metadata << 16, and the offset in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    block_size: int
    fragments: int
    compressor: int
    root: Ref
    size: int
    inode_table: int
    directory_table: int
    fragment_table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInode:
    start: int
    size: int
    fragment: int
    offset: int
    block_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """An entry of a directory; its `type` is one of the basic ones."""

    name: bytes
    type: int
    ref: Ref


def read_superblock(data: bytes) -> Superblock:
    """The first bytes of a squashfs; raises ImageProblem."""
    if not data.startswith(MAGIC) or len(data) < SUPERBLOCK.size:
        raise ImageProblem("it is no squashfs")
    _, _, _, block_size, fragments, compressor, log, _, _, major, minor, *rest = (
        SUPERBLOCK.unpack_from(data)
    )
    root, size, _, _, inode_table, directory_table, fragment_table, _ = rest
    if (major, minor) != (4, 0):
        raise ImageProblem(f"its squashfs is version {major}.{minor}: only 4.0 is known")
    if not 12 <= log <= 20 or block_size != 1 << log:
        raise ImageProblem(f"its squashfs is damaged: blocks of {block_size} bytes")
    return Superblock(
        block_size=block_size,
        fragments=fragments,
        compressor=compressor,
        root=root,
        size=size,
        inode_table=inode_table,
        directory_table=directory_table,
        fragment_table=fragment_table,
    )


def unpacker(compressor: int) -> Unpack:
    """What unpacks one block, to no more than the size it is given."""
    match compressor:
        case 1:
            return _inflate
        case 4:
            return lambda data, limit: LZMADecompressor(FORMAT_XZ, _XZ_MEMORY).decompress(
                data, limit
            )
        case 6:
            return _unpack_zstd
    name = {2: "lzma", 3: "lzo", 5: "lz4"}.get(compressor, f"method {compressor}")
    raise ImageProblem(f"its squashfs is packed with {name}: make it with zstd, xz or gzip")


def _inflate(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit)


def _unpack_zstd(data: bytes, limit: int) -> bytes:
    # The library reserves what the frame states, whatever limit it is given.
    if zstandard.frame_content_size(data) > limit:
        raise ValueError(f"a block of more than {limit} bytes")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit)


class Inodes:
    """The two tables that make the tree: inodes, and what directories list."""

    def __init__(self, file: BinaryIO, superblock: Superblock, unpack: Unpack) -> None:
        self._inodes = Metadata(file, unpack, superblock.inode_table)
        self._listings = Metadata(file, unpack, superblock.directory_table)
        self._block_size = superblock.block_size

    def names(self, ref: Ref) -> Iterator[Name]:
        """What the directory at `ref` lists."""
        kind = self._kind(ref)
        if kind == DIRECTORY:
            block, _, size, offset, _ = self._fields(ref, _DIRECTORY)
        elif kind == DIRECTORY + _EXTENDED:
            _, size, block, _, _, offset, _ = self._fields(ref, _LONG_DIRECTORY)
        else:
            raise ValueError(f"an inode of type {kind} for a directory")
        size -= _DOTS
        if size > _MAX_LISTING:
            raise ImageProblem("its squashfs lists more than an image to boot can have")
        if size > 0:
            yield from _parse_listing(self._listings.read(block, offset, size))

    def size(self, ref: Ref) -> int:
        """Of the file at `ref`."""
        return self._file_fields(ref)[1]

    def target(self, ref: Ref) -> bytes:
        """Where the symbolic link at `ref` leads."""
        _, size = self._fields(ref, _SYMLINK)
        if size > _MAX_TARGET:
            raise ValueError(f"a link to a path of {size} bytes")
        return self._read(ref, _HEADER.size + _SYMLINK.size, size)

    def file(self, ref: Ref, limit: int) -> FileInode:
        start, size, fragment, offset, fixed = self._file_fields(ref)
        if size > limit:
            raise ImageProblem(f"its squashfs has a file of {size} bytes where {limit} do")
        blocks, rest = divmod(size, self._block_size)
        if rest and fragment == NO_FRAGMENT:
            blocks += 1
        listed = self._read(ref, _HEADER.size + fixed, 4 * blocks)
        return FileInode(
            start=start,
            size=size,
            fragment=fragment,
            offset=offset,
            block_sizes=struct.unpack(f"<{blocks}I", listed),
        )

    def _file_fields(self, ref: Ref) -> tuple[int, int, int, int, int]:
        """Start, size, fragment, offset in it; and how many bytes said so."""
        kind = self._kind(ref)
        if kind == FILE:
            start, fragment, offset, size = self._fields(ref, _FILE)
            return start, size, fragment, offset, _FILE.size
        if kind == FILE + _EXTENDED:
            start, size, _, _, fragment, offset, _ = self._fields(ref, _LONG_FILE)
            return start, size, fragment, offset, _LONG_FILE.size
        raise ValueError(f"an inode of type {kind} for a file")

    def _kind(self, ref: Ref) -> int:
        return int.from_bytes(self._read(ref, 0, 2), "little")

    def _fields(self, ref: Ref, fields: struct.Struct) -> tuple[int, ...]:
        return fields.unpack(self._read(ref, _HEADER.size, fields.size))

    def _read(self, ref: Ref, skip: int, size: int) -> bytes:
        return self._inodes.read(ref >> 16, (ref & 0xFFFF) + skip, size)


def _parse_listing(data: bytes) -> Iterator[Name]:
    position = 0
    while position < len(data):
        count, block, _ = _LISTING.unpack_from(data, position)
        position += _LISTING.size
        for _ in range(count + 1):
            offset, _, kind, length = _NAME.unpack_from(data, position)
            position += _NAME.size
            name = data[position : position + length + 1]
            position += length + 1
            if position > len(data):
                raise ValueError("a list of names that ends early")
            if name in (b".", b"..") or b"/" in name or b"\0" in name:
                raise ImageProblem(f"its squashfs has a file named {name!r}: do not use it")
            yield Name(name=name, type=kind, ref=block << 16 | offset)


class Metadata:
    """A table of packed blocks, read as one stream of bytes from any place in it."""

    def __init__(self, file: BinaryIO, unpack: Unpack, start: int) -> None:
        self._file, self._unpack, self._start = file, unpack, start
        self._blocks: dict[int, tuple[bytes, int]] = {}

    def read(self, block: int, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` in the block at `block`, and on through those after it."""
        data, following = self._block(block)
        while offset >= len(data):
            offset -= len(data)
            data, following = self._block(following)
        found = data[offset : offset + size]
        while len(found) < size:
            data, following = self._block(following)
            found += data[: size - len(found)]
        return found

    def _block(self, block: int) -> tuple[bytes, int]:
        known = self._blocks.get(block)
        if known is None:
            if len(self._blocks) >= _MAX_BLOCKS:
                raise ImageProblem("its squashfs lists more than an image to boot can have")
            known = self._blocks[block] = self._read_block(block)
        return known

    def _read_block(self, block: int) -> tuple[bytes, int]:
        place = self._start + block
        length = int.from_bytes(exactly(self._file, place, 2), "little")
        size = length & ~_STORED
        data = exactly(self._file, place + 2, size)
        if not length & _STORED:
            data = self._unpack(data, _METADATA)
        if not data or len(data) > _METADATA:
            raise ValueError(f"a block of {len(data)} bytes of metadata")
        return data, block + 2 + size


def exactly(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(min(position, _FAR))
    data = file.read(size)
    if len(data) < size:
        raise EOFError("it ends early")
    return data
