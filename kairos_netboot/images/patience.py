"""How long a host is asked again: within a bound, with each wait told."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import ImageProblem
from .progress import Tell
from .session import SILENCE, Trouble

PATIENCE = 120.0  # seconds without progress
_PROGRESS = 64 << 10  # bytes; with less, the time without progress runs on
_MAX_BREAKS = 1000  # in one blob: every 16 MiB of the largest
_MAX_RESTARTS = 10  # of one blob that can only be sent from its start
_LONGEST_WAIT = 20.0
_LONGEST_ASKED = 60.0  # of what a Retry-After asks for

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`silence`: the seconds without a byte after which a connection is given up."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random  # spreads clients that were cut off together
    silence: float = SILENCE


REAL = Clock()


class Patience:
    """Counts the time that is spent on a host, and only that; progress starts it anew."""

    def __init__(self, about: Callable[[], str], tell: Tell, clock: Clock = REAL) -> None:
        self._about, self._tell, self._clock = about, tell, clock
        self._waited, self._gained, self._since = 0.0, 0, 0.0
        self._waits, self._breaks, self._restarts = 0, 0, 0

    def spend(self, ask: Callable[[float], T]) -> T:
        """Ask, with the seconds that the host may be silent."""
        self._since = self._clock.now()
        try:
            return ask(min(self._clock.silence, max(1.0, PATIENCE - self._waited)))
        finally:
            self._waited += self._clock.now() - self._since

    def gain(self, count: int) -> None:
        """Count bytes that went through; raises Trouble where they are too few to wait for."""
        self._gained += count
        if self._gained >= _PROGRESS:
            self._waited, self._gained, self._waits = 0.0, 0, 0
            self._since = self._clock.now()
        elif self._waited > PATIENCE:
            raise Trouble("sends hardly anything", again=True)

    def restart(self) -> None:
        """Count that all is sent again from the start; raises Trouble at the tenth time."""
        self._restarts += 1
        if self._restarts >= _MAX_RESTARTS:
            raise Trouble(f"broke off {_MAX_RESTARTS} times and cannot resume")

    def wait(self, trouble: Trouble) -> None:
        """Sleep before the next try; raises ImageProblem where there is to be none."""
        about, left = trouble.about or self._about(), PATIENCE - self._waited
        self._breaks += 1
        if not trouble.again:
            raise problem(about, trouble)
        if self._breaks > _MAX_BREAKS:
            raise problem(about, trouble, f", {_MAX_BREAKS} times")
        if left < 1:
            raise problem(about, trouble, f", for {PATIENCE:.0f} s")
        delay = min(self._delay(trouble.after), left)
        soon = max(1, round(delay))
        self._tell(f"{about} {trouble.words}: trying again in {soon} s (for another {left:.0f} s)")
        self._waits += 1
        self.spend(lambda _: self._clock.sleep(delay))

    def _delay(self, after: float | None) -> float:
        if after is not None:
            return max(1.0, min(after, _LONGEST_ASKED))
        return min(2.0**self._waits, _LONGEST_WAIT) * (0.75 + self._clock.jitter() / 2)


def patiently(ask: Callable[[float], T], patience: Patience) -> T:
    """What `ask` returns as soon as it raises no Trouble; or ImageProblem."""
    while True:
        try:
            return patience.spend(ask)
        except Trouble as trouble:
            patience.wait(trouble)


def problem(about: str, trouble: Trouble, more: str = "") -> ImageProblem:
    text = f"{about} {trouble.words}{more}: {trouble.way}"
    return ImageProblem(text, details=trouble.details)
