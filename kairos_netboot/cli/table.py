"""A table that fits a terminal: on a pipe it is whole, and nothing is cut."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence

from .app import columns

Row = Sequence[str]

# What the last column must keep to be worth its place.
_LEAST = 34
_GAP = 3


def terminal_width() -> int | None:
    """None where it is no terminal that is written to."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(
    headings: Row, rows: Sequence[Row], width: int | None, spare: Sequence[str]
) -> Iterator[str]:
    """Lines of at most `width` characters: columns of `spare` go one by one, the first of them
    first, until the last column has room; what is too long there is cut."""
    table = [headings, *rows]
    if width is None:
        yield from columns(table)
        return
    for name in spare:
        if _before_last(table) + _LEAST <= width:
            break
        table = _without(table, name)
    yield from (_cut(line, width) for line in columns(table))


def _before_last(table: Sequence[Row]) -> int:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return sum(widths[:-1]) + _GAP * (len(widths) - 1)


def _without(table: Sequence[Row], name: str) -> list[Row]:
    if name not in table[0]:
        return list(table)
    at = list(table[0]).index(name)
    return [[*row[:at], *row[at + 1 :]] for row in table]


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(width - 1, 0)].rstrip() + "…"
