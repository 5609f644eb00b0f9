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
from .tree import Inode, Kind, new_root, walk

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
        with verified(stored, partial(report, stored)) as tar:
            layer = _Layer(merge, place)
            with ahead(tar) as stream:
                for member, data in members(stream):
                    bounds.admit(member)
                    layer.take(member, data)
            layer.end()
    merge.end()
    texts = {inode: data.decode("utf-8", "replace") for inode, data in merge.texts.items()}
    return Merged(root=merge.root, texts=texts)


class _Merge:
    """What the layers so far, from the top, have decided."""

    def __init__(self, out: BinaryIO) -> None:
        self.root = new_root()
        self.texts: dict[Inode, bytes] = {}
        self.described: set[Inode] = set()
        # What hides the layers below: whole directories, and names that are gone.
        self.opaque: set[Inode] = set()
        self.gone: dict[Inode, set[str]] = {}
        self._out = out
        self._written: dict[Inode, str] = {}  # files, by the path that they were written under

    def is_hidden(self, directory: Inode, name: str) -> bool:
        """Whether a layer above has taken away a name that it does not have itself."""
        return directory in self.opaque or name in self.gone.get(directory, ())

    def hide(self, directory: Inode, name: str) -> None:
        """From the layers below."""
        self.gone.setdefault(directory, set()).add(name)
        child = directory.children.get(name)
        if child is not None and child.kind is Kind.DIRECTORY:
            self.opaque.add(child)

    def write(self, path: str, inode: Inode, head: bytes, chunks: Iterator[bytes]) -> None:
        """A file as it comes past."""
        self._written[inode] = path
        self._out.write(head)
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
            first = self._written.setdefault(inode, path)
            if first != path:
                self._out.write(link_header(path, first))
            elif inode.kind is not Kind.FILE:
                self._out.write(header(path, inode))
        self._out.write(END)


class _Layer:
    """One layer on its way in. A path that is hidden by a layer above stands for None."""

    def __init__(self, merge: _Merge, place: int) -> None:
        self._merge, self._place = merge, place
        self._directories: dict[str, Inode | None] = {"": merge.root}
        self._others: dict[str, Inode | None] = {}
        self._mine: set[Inode] = set()  # directories that are described here, the last time counts
        # A layer's whiteouts are meant for the layers below, not for itself.
        self._whiteouts: list[tuple[Inode, str]] = []

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
        directory = self._parent(parent)
        if member.isdir():
            self._directories[path] = self._take_directory(directory, path, name, member)
        elif path in self._others or path in self._directories:
            raise NotPlain
        elif member.islnk():
            self._others[path] = self._take_link(directory, name, member)
        else:
            self._others[path] = self._take_other(directory, path, name, member, data)

    def end(self) -> None:
        self._merge.described |= self._mine
        for directory, name in self._whiteouts:
            if name == OPAQUE:
                self._merge.opaque.add(directory)
            else:
                self._merge.hide(directory, name)

    def _parent(self, path: str) -> Inode | None:
        """Only the lowest layer may leave out its directories: nothing is below that says more."""
        if path not in self._directories:
            if self._place > 0 or self._is_in_other(path):
                raise NotPlain
            above, _, name = path.rpartition("/")
            self._directories[path] = self._enter(self._parent(above), name)
        return self._directories[path]

    def _enter(self, directory: Inode | None, name: str) -> Inode | None:
        """The directory of that name, unless a layer above hides it."""
        if directory is None:
            return None
        child = directory.children.get(name)
        if child is None:
            if self._merge.is_hidden(directory, name):
                return None
            child = directory.children[name] = Inode(kind=Kind.DIRECTORY)
        if child.kind is not Kind.DIRECTORY or child in self._merge.opaque:
            return None
        return child

    def _take_directory(
        self, directory: Inode | None, path: str, name: str, member: tarfile.TarInfo
    ) -> Inode | None:
        if path in self._others:
            raise NotPlain
        inode = self._enter(directory, name)
        if inode is not None:
            self._describe(inode, member)
        return inode

    def _describe(self, inode: Inode, member: tarfile.TarInfo) -> None:
        """A directory is as its topmost layer has it."""
        if inode not in self._merge.described:
            describe(inode, member)
            self._mine.add(inode)

    def _take_link(
        self, directory: Inode | None, name: str, member: tarfile.TarInfo
    ) -> Inode | None:
        target = "/".join(split_name(member.linkname, member.name))
        if target not in self._others:
            raise NotPlain
        inode = self._others[target]
        if directory is not None and self._is_free(directory, name):
            if inode is None:
                raise NotPlain
            directory.children[name] = inode
        return inode

    def _take_other(
        self,
        directory: Inode | None,
        path: str,
        name: str,
        member: tarfile.TarInfo,
        data: Forward,
    ) -> Inode | None:
        kind = kind_of(member)
        if directory is None or not self._is_free(directory, name):
            return None
        inode = directory.children[name] = new_inode(kind, self._place, member)
        if kind is Kind.FILE:
            chunks = file_chunks(data, inode)
            self._merge.write(path, inode, header(path, inode), chunks)
        return inode

    def _is_free(self, directory: Inode, name: str) -> bool:
        """Whether what is no directory shows here; if not, it may hide what is below it."""
        child = directory.children.get(name)
        if child is None:
            return not self._merge.is_hidden(directory, name)
        if child.kind is Kind.DIRECTORY:
            self._merge.opaque.add(child)
        return False

    def _take_whiteout(self, parent: str, name: str, entry: str) -> None:
        if name.startswith(WHITEOUT * 2) and name != OPAQUE:
            return
        victim = name if name == OPAQUE else name.removeprefix(WHITEOUT)
        if victim in ("", ".", ".."):
            raise ImageProblem(f"'{entry}' is a whiteout of nothing")
        if self._place == 0 and not self._is_in_other(parent):
            return  # nothing is below the lowest layer
        directory = self._parent(parent)
        if directory is not None:
            self._whiteouts.append((directory, victim))

    def _is_in_other(self, path: str) -> bool:
        while path and path not in self._others:
            path = path.rpartition("/")[0]
        return bool(path)
