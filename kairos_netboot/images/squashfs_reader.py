"""What is inside a squashfs: its tree, and single files out of it. Nothing is mounted."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

import zstandard

from ..errors import ImageProblem
from .layers import MAX_ENTRIES
from .squashfs_format import (
    DIRECTORY,
    FILE,
    SUPERBLOCK,
    SYMLINK,
    FileInode,
    Inodes,
    Metadata,
    Ref,
    Superblock,
    exactly,
    read_superblock,
    unpacker,
)
from .tree import Inode, Kind

_KINDS = {
    DIRECTORY: Kind.DIRECTORY,
    FILE: Kind.FILE,
    SYMLINK: Kind.SYMLINK,
    4: Kind.BLOCK,
    5: Kind.CHARACTER,
    6: Kind.FIFO,
}
_SOCKET = 7  # left over by some program that ran while the image was built
_MAX_FILE = 4 << 30  # no machine boots from a larger initrd
_MAX_TEXT = 1 << 20
_STORED = 1 << 24  # set in the length of a block: it is not packed
_FRAGMENT = struct.Struct("<Q2I")
_FRAGMENTS = 512  # in one block of metadata


def read_tree(squashfs: Path) -> Inode:
    """Names, kinds, sizes, targets of links; raises ImageProblem."""
    with _opened(squashfs) as image:
        return image.tree()


def copy_out(squashfs: Path, inner: str, target: Path) -> Path:
    """One file into the new file `target`, which is returned; `inner` has no links in it."""
    with _opened(squashfs) as image, target.open("xb") as out:
        for chunk in image.content(inner, _MAX_FILE):
            out.write(chunk)
    return target


def read_bytes(squashfs: Path, inner: str, limit: int) -> bytes:
    """A small file, whole; raises ImageProblem above `limit` bytes."""
    with _opened(squashfs) as image:
        return b"".join(image.content(inner, limit))


def read_text(squashfs: Path, inner: str) -> str:
    """A small text file, whole; raises ImageProblem above 1 MiB."""
    with _opened(squashfs) as image:
        return b"".join(image.content(inner, _MAX_TEXT)).decode("utf-8", "replace")


@contextmanager
def _opened(squashfs: Path) -> Iterator[_Image]:
    with squashfs.open("rb") as file:
        superblock = read_superblock(file.read(SUPERBLOCK.size))
        if superblock.size > squashfs.stat().st_size:
            raise ImageProblem("its squashfs is cut off: get it again")
        try:
            yield _Image(file, superblock)
        except (
            struct.error,
            zlib.error,
            zstandard.ZstdError,
            LZMAError,
            EOFError,
            LookupError,
            ValueError,
            OverflowError,
        ) as error:
            raise ImageProblem(f"its squashfs is damaged: {error}") from error


class _Image:
    def __init__(self, file: BinaryIO, superblock: Superblock) -> None:
        self._file, self._superblock = file, superblock
        self._unpack = unpacker(superblock.compressor)
        self._inodes = Inodes(file, superblock, self._unpack)

    def tree(self) -> Inode:
        root = Inode(kind=Kind.DIRECTORY)
        seen: dict[Ref, Inode] = {self._superblock.root: root}
        waiting, count = [(self._superblock.root, root)], 0
        while waiting:
            ref, directory = waiting.pop()
            for entry in self._inodes.names(ref):
                count += 1
                if count > MAX_ENTRIES:
                    raise ImageProblem(f"its squashfs has more than {MAX_ENTRIES} files")
                inode = seen.get(entry.ref)
                if entry.type == _SOCKET:
                    continue
                if inode is None:
                    inode = seen[entry.ref] = self._inode(entry.type, entry.ref)
                    if entry.type == DIRECTORY:
                        waiting.append((entry.ref, inode))
                elif inode.kind is Kind.DIRECTORY:
                    raise ValueError("it lists a directory twice")
                directory.children[entry.name.decode("utf-8", "surrogateescape")] = inode
        return root

    def content(self, inner: str, limit: int) -> Iterator[bytes]:
        found = self._inodes.file(self._find(inner), limit)
        position = found.start
        left = found.size
        for listed in found.block_sizes:
            want = min(left, self._superblock.block_size)
            yield self._block(position, listed, want)
            position += listed & ~_STORED
            left -= want
        if left:
            yield self._tail(found, left)

    def _inode(self, kind: int, ref: Ref) -> Inode:
        return Inode(
            kind=_KINDS[kind],
            size=self._inodes.size(ref) if kind == FILE else 0,
            target=self._inodes.target(ref).decode("utf-8", "surrogateescape")
            if kind == SYMLINK
            else "",
        )

    def _find(self, inner: str) -> Ref:
        ref = self._superblock.root
        for name in inner.encode("utf-8", "surrogateescape").strip(b"/").split(b"/"):
            refs = {entry.name: entry.ref for entry in self._inodes.names(ref)}
            if name not in refs:
                raise ImageProblem(f"its squashfs has no {inner}")
            ref = refs[name]
        return ref

    def _block(self, position: int, listed: int, want: int) -> bytes:
        """One block of a file, `want` bytes long; one of which nothing is stored is zeros."""
        size = listed & ~_STORED
        if size == 0:
            return bytes(want)
        data = self._read(position, size, stored=bool(listed & _STORED))
        if len(data) != want:
            raise ValueError(f"a block of {len(data)} bytes, not {want}")
        return data

    def _tail(self, found: FileInode, want: int) -> bytes:
        """The end of a file, which shares a block with other ends."""
        if found.fragment >= self._superblock.fragments:
            raise ValueError("a file without its end")
        place = self._superblock.fragment_table + 8 * (found.fragment // _FRAGMENTS)
        block = int.from_bytes(exactly(self._file, place, 8), "little")
        table = Metadata(self._file, self._unpack, block)
        offset = found.fragment % _FRAGMENTS * _FRAGMENT.size
        position, listed, _ = _FRAGMENT.unpack(table.read(0, offset, _FRAGMENT.size))
        data = self._read(position, listed & ~_STORED, stored=bool(listed & _STORED))
        tail = data[found.offset : found.offset + want]
        if len(tail) != want:
            raise ValueError("a file without its end")
        return tail

    def _read(self, position: int, size: int, *, stored: bool) -> bytes:
        if size > self._superblock.block_size:
            raise ValueError(f"a block of {size} bytes")
        data = exactly(self._file, position, size)
        return data if stored else self._unpack(data, self._superblock.block_size)
