"""Layers on top of each other: reads each layer's tar once and indexes what the image holds."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from ..errors import ImageProblem
from .members import members
from .streams import MAX_UNPACKED, HashingReader, StoredLayer, verified
from .tree import NO_CHILDREN, Fresh, Inode, Kind, find, make_directories, new_root, prune

# OCI image specification, "Whiteouts". Names that begin with two marks are AUFS's own files.
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"

MAX_ENTRIES = 200_000
MAX_WORDS = 48 << 20  # a Kairos image of 40,000 files has 4 MiB
_ATTRIBUTE, _PIECE = 256, 128  # what an attribute, or a sparse file's piece, takes of them
_MAX_DEPTH = 255  # no path of 4096 bytes that a person made is deeper
_MAX_NAME = 255  # Linux: NAME_MAX
_MAX_TARGET = 4095  # Linux: PATH_MAX and its NUL
_MAX_ID = 0xFFFFFFFF
_MODES = tuple(range(0o10000))  # each number once in memory
_XATTR = "SCHILY.xattr."
# All that squashfs has room for; POSIX ACLs (system.*) are none of it.
XATTR_SPACES = ("user.", "trusted.", "security.")
_KINDS = {
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.GNUTYPE_SPARSE: Kind.FILE,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
}


def index_layers(
    layers: Sequence[StoredLayer],
    report: Callable[[StoredLayer, int], None] = lambda layer, count: None,
) -> Inode:
    """The merged tree of all layers, every digest checked; or ImageProblem."""
    root, bounds = new_root(), Bounds()
    for place, stored in enumerate(layers):
        with verified(stored, partial(report, stored), bounds.beside) as tar:
            _apply(root, place, tar, bounds)
        bounds.end_layer(tar.count)
    return root


class Bounds:
    """What all layers of an image may hold together: no image takes all memory, or all night."""

    def __init__(self) -> None:
        self.beside = 0  # bytes that the tars of former layers hold beside their files
        self._entries = self._size = self._former_size = self._words = 0

    def admit(self, member: tarfile.TarInfo) -> None:
        """Count an entry; raises ImageProblem for the one that is too much."""
        self._entries += 1
        self._size += max(0, member.size)  # of a sparse file: with its holes
        self._words += _weight(member.name) + _weight(member.linkname)
        if member.pax_headers:
            self._words += sum(_ATTRIBUTE + _weight(text) for text in member.pax_headers.values())
        if member.sparse:
            self._words += _PIECE * len(member.sparse)
        if self._entries > MAX_ENTRIES:
            raise ImageProblem(f"more than {MAX_ENTRIES} entries: not an image to boot")
        if self._size > MAX_UNPACKED:
            raise ImageProblem(
                f"with '{member.name}' it has more than {MAX_UNPACKED >> 30} GiB:"
                " not an image to boot"
            )
        if self._words > MAX_WORDS:
            raise ImageProblem(
                f"with '{member.name}' it has more than {MAX_WORDS >> 20} MiB of names, links and"
                " attributes: not an image to boot"
            )

    def end_layer(self, unpacked: int) -> None:
        """Count what is no file: headers, padding, whatever follows the end of the tar."""
        self.beside += max(0, unpacked - (self._size - self._former_size))
        self._former_size = self._size


def _weight(text: str) -> int:
    """Its bytes in memory: Python makes all characters as wide as the widest."""
    return len(text) if text.isascii() else 4 * len(text)


def _apply(root: Inode, place: int, stream: HashingReader, bounds: Bounds) -> None:
    """Put one layer on top of `root`."""
    fresh = Fresh()
    for member, _ in members(stream):
        bounds.admit(member)
        _apply_member(root, place, member, fresh)


def _apply_member(root: Inode, place: int, member: tarfile.TarInfo, fresh: Fresh) -> None:
    names = split_name(member.name, member.name)
    if not names:
        if member.isdir():
            describe(root, member)
        return
    parents, name = names[:-1], names[-1]
    if name.startswith(WHITEOUT):
        parent = find(root, "/".join(parents))
        if parent is not None:
            _apply_whiteout(parent.inode, name, member.name, fresh)
        return
    directory = make_directories(root, parents, fresh)
    _put(root, directory, name, place, member)
    fresh[directory].add(name)


def _apply_whiteout(parent: Inode, name: str, entry: str, fresh: Fresh) -> None:
    if name == OPAQUE:
        prune(parent, fresh)
        return
    if name.startswith(WHITEOUT * 2):
        return
    victim = name.removeprefix(WHITEOUT)
    if victim in ("", ".", ".."):
        raise ImageProblem(f"'{entry}' is a whiteout of nothing")
    child = parent.children.get(victim)
    if child is None:
        return
    prune(child, fresh)  # a whiteout hides lower layers, not its own
    if victim not in fresh[parent] and not child.children:
        del parent.children[victim]


def _put(root: Inode, parent: Inode, name: str, place: int, member: tarfile.TarInfo) -> None:
    if member.islnk():
        parent.children[name] = _link_target(root, member)
        return
    kind = kind_of(member)
    present = parent.children.get(name)
    if kind is Kind.DIRECTORY and present is not None and present.kind is Kind.DIRECTORY:
        describe(present, member)
        return
    parent.children[name] = new_inode(kind, place, member)


def kind_of(member: tarfile.TarInfo) -> Kind:
    """Of what is no hard link."""
    if member.type not in _KINDS:
        raise ImageProblem(f"'{member.name}' is of the unknown type {member.type!r}")
    return _KINDS[member.type]


def _link_target(root: Inode, member: tarfile.TarInfo) -> Inode:
    """The inode that a hard link shares; it keeps it even if the target is replaced later."""
    names = split_name(member.linkname, member.name)
    parent = find(root, "/".join(names[:-1]))
    inode = parent.inode.children.get(names[-1]) if parent and names else None
    if inode is None or inode.kind is Kind.DIRECTORY:
        raise ImageProblem(f"'{member.name}' is a hard link to '{member.linkname}', no file here")
    return inode


def new_inode(kind: Kind, place: int, member: tarfile.TarInfo) -> Inode:
    children = {} if kind is Kind.DIRECTORY else NO_CHILDREN
    inode = Inode(kind=kind, layer=place, children=children)
    describe(inode, member)
    match kind:
        case Kind.FILE:
            inode.offset, inode.size = member.offset_data, member.size
            inode.extents = _extents(member)
        case Kind.SYMLINK:
            if not 0 < len(member.linkname.encode("utf-8", "surrogateescape")) <= _MAX_TARGET:
                raise ImageProblem(
                    f"'{member.name}' is a symbolic link to nothing Linux can follow"
                )
            inode.target = member.linkname
        case Kind.CHARACTER | Kind.BLOCK:
            inode.device = (member.devmajor, member.devminor)
        case Kind.DIRECTORY | Kind.FIFO:
            pass
    return inode


def describe(inode: Inode, member: tarfile.TarInfo) -> None:
    if not 0 <= member.uid <= _MAX_ID or not 0 <= member.gid <= _MAX_ID:
        raise ImageProblem(f"'{member.name}' belongs to {member.uid}:{member.gid}: no such owner")
    inode.mode, inode.uid, inode.gid = _MODES[member.mode & 0o7777], member.uid, member.gid
    inode.mtime = max(0, min(int(member.mtime), _MAX_ID))  # squashfs has 32 bits for it
    inode.xattrs = _xattrs(member)


def _xattrs(member: tarfile.TarInfo) -> dict[str, str]:
    found = {}
    for key, value in member.pax_headers.items():
        name = key.removeprefix(_XATTR)
        if name != key and name.startswith(XATTR_SPACES):
            if not name.isprintable():
                raise ImageProblem(f"'{member.name}' has an attribute with a broken name")
            found[name] = value
    return found


def _extents(member: tarfile.TarInfo) -> tuple[tuple[int, int], ...] | None:
    if not member.issparse():
        return None
    listed = cast(list[tuple[int, int]], member.sparse)
    extents = tuple((offset, length) for offset, length in listed if length)  # unused: 0, 0
    position = 0
    for offset, length in extents:
        if offset < position or length < 0 or offset + length > member.size:
            raise ImageProblem(f"'{member.name}' is sparse in a way that cannot be")
        position = offset + length
    return extents


def split_name(path: str, entry: str) -> list[str]:
    """The names in a path of the tar. An absolute one counts from the image's root."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names:
        raise ImageProblem(f"'{entry}' leads out of the image with '..'")
    if len(names) > _MAX_DEPTH:
        raise ImageProblem(f"'{entry[:80]}…' is deeper than {_MAX_DEPTH} directories")
    # tar2sqfs writes longer ones without a word, and Linux then cannot list the directory.
    short = len(path) <= _MAX_NAME and path.isascii()
    if not short and any(
        len(name.encode("utf-8", "surrogateescape")) > _MAX_NAME for name in names
    ):
        raise ImageProblem(f"'{entry[:80]}…' has a name of more than {_MAX_NAME} bytes")
    return names
