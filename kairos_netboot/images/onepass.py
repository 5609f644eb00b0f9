"""Layers as one tar in a single pass, the topmost first: each is decompressed once, on its way in.

What an upper layer says is final, so a file of a layer can be written as it comes past, if no layer
above has its path or hides it. That holds for layers as Docker and BuildKit write them. One that
needs to know the layers below (an entry through a symbolic link, a hard link to a lower layer, a
path that comes twice) is not plain: `layers.index_layers` and `merge.write_tar` take two passes.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from ..errors import ImageProblem
from .ahead import ahead
from .layers import (
    OPAQUE,
    WHITEOUT,
    Bounds,
    describe,
    kind_of,
    new_inode,
    split_name,
)
from .members import Forward, members
from .merge import END, file_chunks, header, link_header
from .streams import StoredLayer, verified
from .tree import Inode, Kind, walk

_MAX_TEXT = 1 << 20
_CONFIG = re.compile(r"boot/config-[^/]+|(?:usr/)?lib/modules/[^/]+/config")


class NotPlain(Exception):
    """A layer that cannot be merged without knowing what is below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The tree that was written. `texts`: its kernels' configs, by inode."""

    root: Inode
    texts: dict[Inode, str]


def write_plain(
    layers: Sequence[StoredLayer],
    out: BinaryIO,
    report: Callable[[StoredLayer, int], None] = lambda layer, count: None,
) -> Merged:
    """Write the tar of all layers, every digest checked; raises ImageProblem, or NotPlain."""
    merge, bounds = _Merge(out), Bounds()
    for place, stored in reversed(list(enumerate(layers))):
        with verified(stored, partial(report, stored), bounds.beside) as tar:
            layer = _Layer(merge, place)
            with ahead(tar) as stream:
                for member, data in members(stream):
                    bounds.admit(member)
                    layer.take(member, data)
            layer.end()
        bounds.end_layer(tar.count)
    merge.end()
    texts = {inode: data.decode("utf-8", "replace") for inode, data in merge.texts.items()}
    return Merged(root=merge.root, texts=texts)


@dataclass(slots=True, kw_only=True, eq=False)
class _Directory(Inode):
    """One that shows in the merged tree, and what the layers so far, from the top, say of it.

    Of layers by number: the topmost that declares it gives its metadata, the last declared it.
    """

    kind: Kind = Kind.DIRECTORY
    topmost: int | None = None
    last: int | None = None
    # What hides the layers below: all that they have in here, or names that are gone.
    opaque: bool = False
    gone: set[str] | None = None

    def hides(self, name: str) -> bool:
        """Whether a layer above has taken away a name that it does not have itself."""
        return self.opaque or (self.gone is not None and name in self.gone)

    def hide(self, name: str) -> None:
        """From the layers below."""
        self.gone = self.gone or set()
        self.gone.add(name)
        child = self.children.get(name)
        if isinstance(child, _Directory):
            child.opaque = True


class _Merge:
    """What is written and what will be."""

    def __init__(self, out: BinaryIO) -> None:
        self.root = _Directory()
        self.texts: dict[Inode, bytes] = {}
        # Of what has several names: that of the first, '' as long as nothing is written.
        self.first: dict[Inode, str] = {}
        self._out = out

    def write(self, path: str, inode: Inode, chunks: Iterator[bytes]) -> None:
        """A file as it comes past."""
        self._out.write(header(path, inode))
        text = b"" if _CONFIG.fullmatch(path) and inode.size <= _MAX_TEXT else None
        for chunk in chunks:
            self._out.write(chunk)
            if text is not None:
                text += chunk
        self._out.write(bytes(-inode.size % tarfile.BLOCKSIZE))
        if text is not None:
            self.texts[inode] = text

    def end(self) -> None:
        """What is no file, and further names: tar2sqfs takes a directory after what is in it."""
        self._out.write(header(".", self.root))
        for path, inode in walk(self.root):
            first = self.first.get(inode, path)
            if not first:
                self.first[inode] = first = path
            if first != path:
                self._out.write(link_header(path, first))
            elif inode.kind is not Kind.FILE:
                self._out.write(header(path, inode))
        self._out.write(END)


class _Layer:
    """One layer on its way in."""

    def __init__(self, merge: _Merge, place: int) -> None:
        self._merge, self._place = merge, place
        # Its paths that a layer above hides, and whether they are directories.
        self._hidden: dict[str, bool] = {}
        # A layer's whiteouts are meant for the layers below, not for itself.
        self._whiteouts: list[tuple[_Directory, str]] = []
        self._parent: tuple[str, _Directory | None] = ("", merge.root)  # of the entry before

    def take(self, member: tarfile.TarInfo, data: Forward) -> None:
        names = split_name(member.name, member.name)
        if not names:
            if member.isdir():
                self._describe(self._merge.root, member)
            return
        path, parent, name = "/".join(names), "/".join(names[:-1]), names[-1]
        if name.startswith(WHITEOUT):
            self._take_whiteout(parent, name, member.name)
            return
        directory = self._enter_parent(parent)
        known = self._knows(directory, path, name)
        if known is not None and not (known and member.isdir()):
            raise NotPlain
        if member.isdir():
            self._take_directory(directory, path, name, member)
        elif member.islnk():
            self._take_link(directory, path, name, member)
        else:
            self._take_other(directory, path, name, member, data)

    def end(self) -> None:
        for directory, name in self._whiteouts:
            if name == OPAQUE:
                directory.opaque = True
            else:
                directory.hide(name)

    def _enter_parent(self, path: str) -> _Directory | None:
        if path != self._parent[0]:
            self._parent = path, self._find(path)
        return self._parent[1]

    def _find(self, path: str) -> _Directory | None:
        """A directory of this layer; None if it is hidden, NotPlain if it is none.

        Only the lowest layer may leave it out: nothing is below that says more.
        """
        if not path:
            return self._merge.root
        above, _, name = path.rpartition("/")
        directory = self._find(above)
        known = self._knows(directory, path, name)
        if known is None and self._place == 0:
            return self._enter(directory, path, name)
        if not known:
            raise NotPlain
        child = directory.children.get(name) if directory is not None else None
        return child if isinstance(child, _Directory) and path not in self._hidden else None

    def _knows(self, directory: _Directory | None, path: str, name: str) -> bool | None:
        """Whether this layer has the path as a directory; None if it has not had it yet."""
        if path in self._hidden:
            return self._hidden[path]
        child = directory.children.get(name) if directory is not None else None
        if isinstance(child, _Directory):
            return True if child.last == self._place else None
        return False if child is not None and child.layer == self._place else None

    def _enter(self, directory: _Directory | None, path: str, name: str) -> _Directory | None:
        """The directory of that name, declared by this layer now, unless a layer above hides it."""
        child = directory.children.get(name) if directory is not None else None
        if directory is not None and child is None and not directory.hides(name):
            child = directory.children[name] = _Directory()
        if not isinstance(child, _Directory) or child.opaque:
            self._hidden[path] = True
            return None
        child.last = self._place
        return child

    def _take_directory(
        self, directory: _Directory | None, path: str, name: str, member: tarfile.TarInfo
    ) -> None:
        inode = self._enter(directory, path, name)
        if inode is not None:
            self._describe(inode, member)

    def _describe(self, directory: _Directory, member: tarfile.TarInfo) -> None:
        """As its topmost layer has it, where the last time counts."""
        if directory.topmost in (None, self._place):
            directory.topmost = self._place
            describe(directory, member)

    def _take_link(
        self, directory: _Directory | None, path: str, name: str, member: tarfile.TarInfo
    ) -> None:
        target = "/".join(split_name(member.linkname, member.name))
        above, _, last = target.rpartition("/")
        place = self._find(above)
        if self._knows(place, target, last) is not False:
            raise NotPlain
        if directory is None or not self._is_free(directory, name):
            self._hidden[path] = False
            return
        if place is None or target in self._hidden:
            raise NotPlain
        inode = directory.children[name] = place.children[last]
        self._merge.first.setdefault(inode, target if inode.kind is Kind.FILE else "")

    def _take_other(
        self,
        directory: _Directory | None,
        path: str,
        name: str,
        member: tarfile.TarInfo,
        data: Forward,
    ) -> None:
        kind = kind_of(member)
        if directory is None or not self._is_free(directory, name):
            self._hidden[path] = False
            return
        inode = directory.children[name] = new_inode(kind, self._place, member)
        if kind is Kind.FILE:
            self._merge.write(path, inode, file_chunks(data, inode))
            inode.offset = 0  # of no use any more, and a number is 32 bytes

    def _is_free(self, directory: _Directory, name: str) -> bool:
        """Whether what is no directory shows here; if not, it may hide what is below it."""
        child = directory.children.get(name)
        if child is None:
            return not directory.hides(name)
        if isinstance(child, _Directory):
            child.opaque = True
        return False

    def _take_whiteout(self, parent: str, name: str, entry: str) -> None:
        if name.startswith(WHITEOUT * 2) and name != OPAQUE:
            return
        victim = name if name == OPAQUE else name.removeprefix(WHITEOUT)
        if victim in ("", ".", ".."):
            raise ImageProblem(f"'{entry}' is a whiteout of nothing")
        if self._place == 0:
            raise NotPlain  # nothing is below; but it may still lead through links
        directory = self._enter_parent(parent)
        if directory is not None:
            self._whiteouts.append((directory, victim))
