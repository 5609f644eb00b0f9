"""Nodes that have gone silent. By a clock that only grows: one that is set, or a server that was
away for a day, must not fail an install; so silence counts from the server's start at the earliest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from .families import is_silent
from .fleet import Event, Fleet, Node
from .lifecycle import Kind, State
from .site import Profile

# Waited for: something was started on these, and its end has not been told.
EXPECTED = frozenset({State.BOOTING, State.INSTALLING, State.LIVE, State.WIPING})

# What the machine itself did, as against what was done about it.
OWN = frozenset(
    {
        *(Kind.BOOT_STARTED, Kind.RAM_STARTED, Kind.WIPE_STARTED, Kind.LIVE_STARTED),
        *(Kind.DHCP_OFFER, Kind.BOOT_SERVER, Kind.LOADER, Kind.FILE, Kind.DOCUMENT),
        *(Kind.INSTALL_STARTED, Kind.INSTALL_STEP, Kind.INSTALL_FINISHED, Kind.INSTALL_FAILED),
        *(Kind.WIPE_FINISHED, Kind.READY, Kind.BOOT_FAILED, Kind.INVENTORY, Kind.LOG, Kind.AGENT),
    }
)


class Signs:
    """When each node was heard last, by its id. `start` is when we began to listen."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._heard: dict[int, float] = {}
        self._sending: Counter[int] = Counter()

    def heard(self, node: int, now: float) -> None:
        self._heard[node] = now

    def begins(self, node: int) -> None:
        """A download: as long as bytes go to it, it is there."""
        self._sending[node] += 1

    def ends(self, node: int, now: float) -> None:
        self._sending[node] -= 1
        self.heard(node, now)

    def silence(self, node: int, now: float) -> float:
        """Seconds without a sign of it."""
        if self._sending[node] > 0:
            return 0.0
        return now - max(self._heard.get(node, self._start), self._start)


def is_overdue(node: Node, profile: Profile | None, silence: float) -> bool:
    """Whether it is given up. Without a profile nobody said when."""
    if node.state not in EXPECTED or profile is None or not profile.timeout:
        return False
    if node.state is State.LIVE and is_silent(profile):
        return False
    return silence >= profile.timeout


def overdue(fleet: Fleet, signs: Signs, now: float) -> Iterator[tuple[Node, float]]:
    """Those to be given up, and how long each has been silent."""
    for node in fleet.nodes:
        silence = signs.silence(node.id, now)
        if is_overdue(node, fleet.profile_of(node), silence):
            yield node, silence


def verdict(node: Node, silence: float, last: Event | None) -> str:
    """The timeline's sentence. `last`: of the node's own doing."""
    told = f"no sign of it for {spoken(silence)} while it was {node.state}"
    if last is None:
        return f"{told}; it had done nothing"
    return f"{told}; the last was, at {_clock(last.at)}: {last.text}"


def spoken(seconds: float) -> str:
    """`90 s`, `12 min`, `2 h 5 min`."""
    minutes = int(seconds) // 60
    if minutes < 2:
        return f"{int(seconds)} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%S UTC on %Y-%m-%d")
