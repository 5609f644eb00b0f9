"""What all commands share: the state directory, the console, errors as one line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..config.settings import state_directory
from ..store.store import Store

# A pipe has no width: nothing is cut or wrapped there.
_UNBOUNDED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options before the command."""

    state: Path
    verbose: bool


def common(state: Path | None, verbose: bool) -> Common:
    if state is None:
        state = state_directory(os.environ, root=os.geteuid() == 0)
    return Common(state=state, verbose=verbose)


def console() -> Console:
    """For answers, on standard output."""
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(width=width, highlight=False, markup=False, soft_wrap=True)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Columns without lines around them, fit for eyes and for awk."""
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for heading in headings:
        drawn.add_column(heading, no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    return drawn


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


def set_up_logging(verbose: bool) -> None:
    """To standard error: decisions always, ignored packets with -v."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("kairos_netboot").setLevel(level)
