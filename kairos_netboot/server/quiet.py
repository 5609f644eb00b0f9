"""A log for what anybody on the network can cause: it must not fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class Quiet:
    """Of one key, `each` sentences in so many `seconds`, and `most` of all of them together. How
    many were left out is said with the next one."""

    def __init__(
        self,
        log: logging.Logger,
        *,
        seconds: float = 60,
        each: int = 20,
        most: int = 600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._seconds, self._each, self._most = log, seconds, each, most
        self._clock = clock
        self._since = clock()
        self._said: dict[str, int] = {}
        self._all = self._left_out = 0

    def info(self, key: str, sentence: str) -> None:
        self._say(logging.INFO, key, sentence)

    def warning(self, key: str, sentence: str) -> None:
        self._say(logging.WARNING, key, sentence)

    def _say(self, level: int, key: str, sentence: str) -> None:
        self._begin_anew()
        said = self._said.get(key, 0)
        if said >= self._each or self._all >= self._most:
            self._left_out += 1
            return
        self._said[key] = said + 1
        self._all += 1
        self._log.log(level, "%s", sentence)

    def _begin_anew(self) -> None:
        now = self._clock()
        if now - self._since < self._seconds:
            return
        if self._left_out:
            self._log.info("%d sentences like these were left out", self._left_out)
        self._since, self._all, self._left_out = now, 0, 0
        self._said.clear()
