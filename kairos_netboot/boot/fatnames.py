"""FAT's directories: what is called how in them, in letters that DOS knew and as it is."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import InvalidValue

ENTRY = 32
_DOS = r"[A-Z0-9!#$%&'()@^_`{}~-]"
_SHORT = re.compile(rf"({_DOS}{{1,8}})(?:\.({_DOS}{{1,3}}))?")
_NAME = re.compile(r'[^\x00-\x1f"*/:<>?\\|\x7f-\U0010ffff]{1,255}(?<![. ])')
_DIRECTORY, _VOLUME, _ARCHIVE, _LONG = 0x10, 0x08, 0x20, 0x0F
_LONGEST_PATH = 260
_LETTERS = 13  # of a long name, in one entry
_DATE = 0x0021  # the first day that FAT knows: 1980-01-01


@dataclass(slots=True, kw_only=True, eq=False)
class Tree:
    """A file, or a directory with what is in it. The root has no parent; `alias`: a short name."""

    name: str
    path: str
    size: int = 0
    is_directory: bool = False
    alias: bytes = b""
    parent: Tree | None = None
    children: dict[str, Tree] = field(default_factory=dict)  # by their names in capitals

    @property
    def is_long(self) -> bool:
        """Whether its short name is not all of it."""
        return self.name != _shown(self.alias)

    @property
    def entry_bytes(self) -> int:
        """What its directory takes; the first two entries are `.` and `..`, or the label."""
        return (2 + sum(map(_entry_count, self.children.values()))) * ENTRY

    def directories(self) -> Iterator[Tree]:
        """Itself and all below it, parents first."""
        yield self
        for child in self.children.values():
            if child.is_directory:
                yield from child.directories()

    def files(self) -> Iterator[Tree]:
        for tree in self.directories():
            yield from (child for child in tree.children.values() if not child.is_directory)


def read_tree(files: Sequence[tuple[str, int]]) -> Tree:
    """The root; raises InvalidValue for a path that FAT has no place for."""
    root = Tree(name="", path="", is_directory=True)
    for path, size in files:
        if len(path) > _LONGEST_PATH:
            raise InvalidValue(f"{path[:40]}… is longer than FAT's {_LONGEST_PATH} letters")
        *above, name = path.split("/")
        here = root
        for step in above:
            here = _enter(here, step)
        if name.upper() in here.children:
            raise InvalidValue(f"{path} is there twice: FAT knows no small letters")
        child = Tree(name=_checked(name), path=path, size=size, parent=here)
        here.children[name.upper()] = child
    for tree in root.directories():
        _give_aliases(tree)
    return root


def entries_of(tree: Tree, firsts: Mapping[Tree, int], label: bytes) -> bytes:
    """A directory's bytes. `firsts`: the first cluster of each; `label`: the volume's, which is in
    the root."""
    if tree.parent is None:
        head = _short(label, _VOLUME, 0, 0)
    else:
        # By the book the root is 0 here, in whichever cluster it is.
        above = firsts[tree.parent] if tree.parent.parent else 0
        head = _short(b".".ljust(11), _DIRECTORY, firsts[tree], 0)
        head += _short(b"..".ljust(11), _DIRECTORY, above, 0)
    return head + b"".join(_named(child, firsts) for child in tree.children.values())


def _enter(here: Tree, step: str) -> Tree:
    found = here.children.get(step.upper())
    if found is None:
        path = f"{here.path}/{step}" if here.path else step
        found = Tree(name=_checked(step), path=path, is_directory=True, parent=here)
        here.children[step.upper()] = found
    if not found.is_directory or found.name != step:
        raise InvalidValue(f"{found.path} is there twice: FAT knows no small letters")
    return found


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith(" "):
        raise InvalidValue(f"{name[:40]!r} is no name for a file on FAT")
    return name


def _give_aliases(tree: Tree) -> None:
    """Those that are short by themselves keep their names, whatever the others are given."""
    taken = set[bytes]()
    for child in tree.children.values():
        if match := _SHORT.fullmatch(child.name.upper()):
            child.alias = _packed(match[1], match[2] or "")
            taken.add(child.alias)
    for child in tree.children.values():
        if not child.alias:
            child.alias = next(alias for alias in _aliases(child.name) if alias not in taken)
            taken.add(child.alias)


def _aliases(name: str) -> Iterable[bytes]:
    """`LONGNA~1.TXT`, and on with the number."""
    stem, _, suffix = name.upper().rpartition(".")
    stem, suffix = (stem, suffix) if stem.strip(".") else (suffix, "")
    stem, suffix = (re.sub(rf"(?!{_DOS}).", "", text) for text in (stem, suffix))
    for number in range(1, 1_000_000):
        tail = f"~{number}"
        yield _packed((stem or "_")[: 8 - len(tail)] + tail, suffix[:3])


def _packed(stem: str, suffix: str) -> bytes:
    return stem.ljust(8).encode("ascii") + suffix.ljust(3).encode("ascii")


def _shown(alias: bytes) -> str:
    stem, suffix = alias[:8].decode("ascii").rstrip(), alias[8:].decode("ascii").rstrip()
    return f"{stem}.{suffix}" if suffix else stem


def _entry_count(tree: Tree) -> int:
    return 1 + (-(-len(tree.name) // _LETTERS) if tree.is_long else 0)


def _named(tree: Tree, firsts: Mapping[Tree, int]) -> bytes:
    attribute = _DIRECTORY if tree.is_directory else _ARCHIVE
    entry = _short(tree.alias, attribute, firsts[tree], tree.size)
    return (_long(tree.name, tree.alias) if tree.is_long else b"") + entry


def _short(name: bytes, attribute: int, first: int, size: int) -> bytes:
    return struct.pack(
        "<11sBBBHHHHHHHI",
        name,
        attribute,
        0,
        0,
        0,
        _DATE,
        _DATE,
        first >> 16,
        0,
        _DATE,
        first & 0xFFFF,
        size,
    )


def _long(name: str, alias: bytes) -> bytes:
    """The entries of a long name, its end first."""
    count = -(-len(name) // _LETTERS)
    text = name + "\0" * (len(name) < count * _LETTERS)
    letters = text.encode("utf-16-le").ljust(count * _LETTERS * 2, b"\xff")
    entries = []
    for number in range(1, count + 1):
        part = letters[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        entries.append(
            struct.pack(
                "<B10sBBB12sH4s", order, part[:10], _LONG, 0, _sum(alias), part[10:22], 0, part[22:]
            )
        )
    return b"".join(reversed(entries))


def _sum(alias: bytes) -> int:
    total = 0
    for byte in alias:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total
