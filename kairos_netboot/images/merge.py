"""The merged image as one tar, written as a stream: nothing is ever unpacked."""

from __future__ import annotations

import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from ..errors import ImageProblem
from ..store.blobs import CHUNK
from .manifest import Layer
from .streams import Readable, StoredLayer, named, unverified
from .tree import Inode, Kind, walk

_TYPES = {
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.FILE: tarfile.REGTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.CHARACTER: tarfile.CHRTYPE,
    Kind.BLOCK: tarfile.BLKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
}
END = bytes(2 * tarfile.BLOCKSIZE)
# What an ordinary header has room for, and what it leaves empty.
_MAX_7, _MAX_11 = 0o7777777, 0o77777777777
_PLAIN = {Kind.FILE: ("0", ""), Kind.DIRECTORY: ("5", "/")}
_NO_LINK, _NO_OWNER = "\0" * 100, "\0" * 247


def content_size(root: Inode) -> int:
    """The bytes of all regular files, hard links counted once."""
    return sum(inode.size for inode in {inode for _, inode in walk(root)})


def newest_time(root: Inode) -> int:
    return max(root.mtime, *(inode.mtime for _, inode in walk(root)), 0)


def contents(
    layers: Sequence[StoredLayer], inodes: Iterable[Inode]
) -> Iterator[tuple[Inode, Iterator[bytes]]]:
    """Each file with its bytes, in the order they are stored; read one before the next."""
    by_layer: defaultdict[int, list[Inode]] = defaultdict(list)
    for inode in inodes:
        by_layer[inode.layer].append(inode)
    for place in sorted(by_layer):
        with unverified(layers[place]) as tar:
            position = 0
            for inode in sorted(by_layer[place], key=lambda inode: inode.offset):
                _skip(tar, inode.offset - position)
                yield inode, _named_chunks(layers[place].layer, tar, inode)
                position = inode.offset + _stored_size(inode)


def read_text(layers: Sequence[StoredLayer], inode: Inode) -> str:
    """A small text file, whole."""
    data = b"".join(chunk for _, chunks in contents(layers, [inode]) for chunk in chunks)
    return data.decode("utf-8", "replace")


def write_tar(
    root: Inode,
    layers: Sequence[StoredLayer],
    out: BinaryIO,
    report: Callable[[int], None] = lambda written: None,
) -> None:
    """Write the tree: directories and special files, files as stored, hard links at the end."""
    names, links = _names(root)
    out.write(header(".", root))
    for inode, path in names.items():
        if inode.kind is not Kind.FILE:
            out.write(header(path, inode))
    written = 0
    for inode, chunks in contents(layers, [i for i in names if i.kind is Kind.FILE]):
        out.write(header(names[inode], inode))
        for chunk in chunks:
            out.write(chunk)
            written += len(chunk)
            report(written)
        out.write(bytes(-inode.size % tarfile.BLOCKSIZE))
    for path, inode in links:
        out.write(link_header(path, names[inode]))
    out.write(END)


def _names(root: Inode) -> tuple[dict[Inode, str], list[tuple[str, Inode]]]:
    """Each inode's first path, and all further ones."""
    names: dict[Inode, str] = {}
    links = []
    for path, inode in walk(root):
        if inode in names:
            links.append((path, inode))
        else:
            names[inode] = path
    return names, links


def header(path: str, inode: Inode) -> bytes:
    """What stands before an inode's data."""
    return _plain_header(path, inode) or _any_header(path, inode)


def _plain_header(path: str, inode: Inode) -> bytes | None:
    """The same bytes, six times as fast, for the many files that need no extension; else None."""
    code, slash = _PLAIN.get(inode.kind, ("", ""))
    size, mode, uid, gid = inode.size, inode.mode, inode.uid, inode.gid
    if not code or inode.xattrs or max(uid, gid) > _MAX_7 or size > _MAX_11:
        return None
    if not path.isascii() or len(path) >= 100:
        return None
    text = (
        f"{path + slash:\0<100}{mode:07o}\0{uid:07o}\0{gid:07o}\0{size:011o}\0"
        f"{inode.mtime:011o}\0        {code}{_NO_LINK}ustar\x0000{_NO_OWNER}"
    )
    block = text.encode("ascii")
    # The sum of 512 ASCII characters, as `members.StrictInfo` has it.
    return b"%b%06o\0%b" % (block[:148], (zlib.adler32(block) & 0xFFFF) - 1, block[155:])


def _any_header(path: str, inode: Inode) -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime = _TYPES[inode.kind], inode.mode, inode.mtime
    info.uid, info.gid, info.size = inode.uid, inode.gid, inode.size
    info.linkname = inode.target
    info.devmajor, info.devminor = inode.device
    info.pax_headers = {f"SCHILY.xattr.{name}": text for name, text in inode.xattrs.items()}
    # mksquashfs 4.5 cuts the leading '/' off a target that comes in a PAX header, long or not
    # ASCII; GNU's long links it takes as they are.
    plain_link = inode.kind is Kind.SYMLINK and not inode.xattrs
    return _packed(info, gnu=plain_link)


def link_header(path: str, target: str) -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = tarfile.LNKTYPE, target
    return _packed(info)


def _packed(info: tarfile.TarInfo, *, gnu: bool = False) -> bytes:
    if gnu:
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _stored_size(inode: Inode) -> int:
    if inode.extents is None:
        return inode.size
    return sum(length for _, length in inode.extents)


def _named_chunks(layer: Layer, tar: Readable, inode: Inode) -> Iterator[bytes]:
    with named(layer):
        yield from file_chunks(tar, inode)


def file_chunks(tar: Readable, inode: Inode) -> Iterator[bytes]:
    """A file's bytes from where `tar` stands, holes filled."""
    position = 0
    extents = ((0, inode.size),) if inode.extents is None else inode.extents
    for offset, length in extents:
        yield from _zeros(offset - position)
        yield from _read(tar, length)
        position = offset + length
    yield from _zeros(inode.size - position)


def _zeros(count: int) -> Iterator[bytes]:
    for start in range(0, count, CHUNK):
        yield bytes(min(CHUNK, count - start))


def _read(tar: Readable, count: int) -> Iterator[bytes]:
    while count > 0:
        chunk = tar.read(min(count, CHUNK))
        if not chunk:
            raise ImageProblem("it ends in the middle of a file: add the image again")
        count -= len(chunk)
        yield chunk


def _skip(tar: Readable, count: int) -> None:
    for _ in _read(tar, count):
        pass
