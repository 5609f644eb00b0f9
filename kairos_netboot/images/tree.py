"""The file system an image stands for, as an index: names, metadata, where the bytes lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import cast

from ..errors import ImageProblem

_MAX_LINKS = 40  # as Linux: MAXSYMLINKS
# A longer target counts as several links: 40 of 2000 names each, for a million entries, take hours.
_NAMES_PER_LINK = 25
_NO_XATTRS: Mapping[str, str] = {}
# Of what is no directory: a dictionary of its own would make an inode a third larger.
NO_CHILDREN = cast("dict[str, Inode]", MappingProxyType[str, "Inode"]({}))


class Kind(Enum):
    DIRECTORY = auto()
    FILE = auto()
    SYMLINK = auto()
    CHARACTER = auto()
    BLOCK = auto()
    FIFO = auto()


@dataclass(slots=True, kw_only=True, eq=False)
class Inode:
    """One file; several names can lead to it.

    `layer`, `offset` and `size` say where a regular file's bytes are in its layer's tar;
    `extents` (offset in the file, length) is set only where the tar holds the file sparsely.
    """

    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    layer: int = 0
    offset: int = 0
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, str] = field(default_factory=lambda: _NO_XATTRS)
    extents: tuple[tuple[int, int], ...] | None = None
    children: dict[str, Inode] = field(default_factory=dict)


class Fresh(defaultdict[Inode, set[str]]):
    """The names that the layer being read has put into each directory."""

    def __init__(self) -> None:
        super().__init__(set)
        # Directories without anything of lower layers: marks repeated for a large one cost nothing.
        self.pruned: set[Inode] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a path leads to once its links are followed; `path` has no links left."""

    path: str
    inode: Inode


def new_root() -> Inode:
    return Inode(kind=Kind.DIRECTORY)


def find(root: Inode, path: str) -> Found | None:
    """Follow `path` inside the image, absolute links re-rooted; raises ImageProblem on a loop."""
    trail: list[tuple[str, Inode]] = []
    here, left, links = root, _parts(path), 0
    while left:
        name = left.pop()
        if name == "..":
            here = _up(root, trail)
            continue
        child = here.children.get(name)
        if child is None:
            return None
        if child.kind is not Kind.SYMLINK:
            trail.append((name, child))
            here = child
            continue
        target = _parts(child.target)
        links = _count(links, target, path)
        if child.target.startswith("/"):
            trail, here = [], root
        left += target
    return Found(path="/" + "/".join(name for name, _ in trail), inode=here)


def make_directories(root: Inode, names: list[str], fresh: Fresh) -> Inode:
    """The directory at `names`, links followed inside the image, what is missing created.

    A file in the way is replaced: a layer that puts a/b over a file a means a directory.
    """
    trail: list[tuple[str, Inode]] = []
    here, left, links = root, list(reversed(names)), 0
    while left:
        name = left.pop()
        if name == "..":
            here = _up(root, trail)
            continue
        child = here.children.get(name)
        if child is not None and child.kind is Kind.SYMLINK:
            target = _parts(child.target)
            links = _count(links, target, "/".join(names))
            if child.target.startswith("/"):
                trail, here = [], root
            left += target
            continue
        if child is None or child.kind is not Kind.DIRECTORY:
            child = here.children[name] = Inode(kind=Kind.DIRECTORY)
            fresh[here].add(name)
        trail.append((name, child))
        here = child
    return here


def prune(directory: Inode, fresh: Fresh) -> None:
    """Drop what lower layers put in here: an opaque directory, or a whiteout's victim."""
    if directory.kind is not Kind.DIRECTORY or directory in fresh.pruned:
        return
    fresh.pruned.add(directory)
    for name, child in list(directory.children.items()):
        prune(child, fresh)
        if name not in fresh[directory] and not child.children:
            del directory.children[name]


def walk(root: Inode) -> Iterator[tuple[str, Inode]]:
    """Every path but the root's, parents first, each directory in the order of its names."""
    stack = [("", iter(sorted(root.children.items())))]
    while stack:
        prefix, entries = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
            continue
        name, inode = entry
        yield prefix + name, inode
        if inode.children:
            stack.append((f"{prefix}{name}/", iter(sorted(inode.children.items()))))


def _parts(path: str) -> list[str]:
    """The names in `path`, last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _up(root: Inode, trail: list[tuple[str, Inode]]) -> Inode:
    if trail:
        trail.pop()
    return trail[-1][1] if trail else root  # '..' in the root is the root


def _count(links: int, target: list[str], path: str) -> int:
    if links >= _MAX_LINKS:
        raise ImageProblem(f"/{path.lstrip('/')} is a loop of symbolic links")
    return links + 1 + len(target) // _NAMES_PER_LINK
