"""How far an image has come: a bar on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from ..images.progress import Progress, Tell


@contextmanager
def progress() -> Iterator[Tell]:
    if sys.stderr.isatty():
        with _bars() as bars:
            yield _on_bars(bars)
    else:
        yield _in_lines(lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201


def _bars() -> Bars:
    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )


def _on_bars(bars: Bars) -> Tell:
    """One bar for each step, in the order they begin."""
    tasks: dict[str, TaskID] = {}
    one_bar = Lock()  # several threads fetch, and each may be the first to tell

    def tell(news: Progress | str) -> None:
        if isinstance(news, str):
            bars.console.print(news, markup=False, highlight=False)
            return
        with one_bar:
            if news.step not in tasks:
                tasks[news.step] = bars.add_task(news.step, total=news.total)
        bars.update(tasks[news.step], completed=news.done, total=news.total)

    return tell


def _in_lines(say: Callable[[str], None]) -> Tell:
    """One line when a step begins, one when it has all its bytes: a log stays readable."""
    begun: set[str] = set()
    ended: set[str] = set()
    one_line = Lock()

    def tell(news: Progress | str) -> None:
        if isinstance(news, str):
            say(news)
            return
        with one_line:
            if news.step not in begun:
                begun.add(news.step)
                say(f"{news.step} …")
            if news.total and news.done >= news.total and news.step not in ended:
                ended.add(news.step)
                say(f"{news.step}: {news.done / 1e6:.1f} MB")

    return tell
