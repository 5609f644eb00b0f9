"""What all commands share: the state directory, and how answers look."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import typer

from ..config.settings import state_directory
from ..store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options before the command."""

    state: Path
    verbose: bool


def common(state: Path | None, verbose: bool) -> Common:
    if state is None:
        state = state_directory(os.environ, root=os.geteuid() == 0)
    return Common(state=state, verbose=verbose)


def say(line: str = "") -> None:
    """An answer, on standard output."""
    typer.echo(line)


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines with the cells below each other; nothing is cut, and no line ends in spaces: the
    terminal may be narrow, or a pipe."""
    kept = list(rows)
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    for row in kept:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(cells).rstrip()


@contextmanager
def opened(state: Path) -> Iterator[Store]:
    store = Store(state)
    try:
        yield store
    finally:
        store.close()


def clock(at: datetime) -> str:
    """The time as the person's own clock has it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_clock(at: datetime, now: datetime) -> str:
    """For narrow columns: the time of today, or the day."""
    is_today = at.astimezone().date() == now.astimezone().date()
    return at.astimezone().strftime("%H:%M:%S" if is_today else "%Y-%m-%d")


def set_up_logging(verbose: bool) -> None:
    """To standard error: decisions always, ignored packets with -v."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("kairos_netboot").setLevel(level)
