"""Takes what machines log to us and files it under the node: UDP, one message a datagram."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from ..boot.fleet import Fleet, Node
from ..cloudconfig.mask import mask_text
from ..errors import StoreProblem
from ..store.index import Index
from ..store.logs import Line, put_lines
from ..store.store import Store
from ..values import Mac
from .quiet import Quiet
from .syslog_line import SyslogLine, read_line
from .udp import arrivals

log = logging.getLogger(__name__)

SOURCE = "syslog"
# Of one node, in a second: a kernel that boots says a thousand lines in a few seconds; one that
# is in trouble says as many for ever.
_EACH_SECOND = 200
_BURST = 2000
# What waits to be written, of all.
_QUEUE = 20_000
_WRITE_SECONDS = 1.0
_KNOWN_SECONDS = 30.0
_REMEMBERED = 4096

Clock = Callable[[], float]
# The card behind an address, by whoever knows: the kernel's table, our leases.
CardAt = Callable[[str], Mac | None]


@dataclass(slots=True)
class _Allowance:
    """A bucket that fills by `_EACH_SECOND`, up to `_BURST`."""

    at: float
    left: float = _BURST
    dropped: int = 0

    def take(self, now: float) -> bool:
        self.left = min(self.left + (now - self.at) * _EACH_SECOND, _BURST)
        self.at = now
        if self.left < 1:
            self.dropped += 1
            return False
        self.left -= 1
        return True


class Syslog:
    """`take` waits for nothing; `run` writes."""

    def __init__(self, index: Index, card_at: CardAt, clock: Clock = time.monotonic) -> None:
        self._index, self._card_at, self._clock = index, card_at, clock
        self._waiting: deque[Line] = deque()
        self._allowances: dict[int, _Allowance] = {}
        self._known: dict[tuple[str, str], tuple[float, int | None]] = {}
        self._others = Quiet(log, each=1, seconds=600)

    def take(self, data: bytes, source: str) -> None:
        """One datagram."""
        line, now = read_line(data), self._clock()
        node = self._sender(source, line, now)
        if node is None:
            said = f"syslog: {source} is no machine known here: what it logs is dropped"
            self._others.info(source, said)
            return
        self._index.signs.heard(node.id, now)
        allowance = self._allowances.setdefault(node.id, _Allowance(at=now))
        if not line.text or not allowance.take(now):
            return
        if allowance.dropped:
            self._put(node, f"({allowance.dropped} lines came too fast and were dropped)")
            allowance.dropped = 0
        self._put(node, f"{line.app}: {line.text}" if line.app else line.text)

    def _put(self, node: Node, text: str) -> None:
        if len(self._waiting) >= _QUEUE:
            self._others.warning("queue", "syslog: the disk cannot keep up: lines are dropped")
            return
        self._waiting.append(Line(node=node.id, at=datetime.now(UTC), source=SOURCE, text=text))

    def _sender(self, source: str, line: SyslogLine, now: float) -> Node | None:
        """Remembered for a while: to ask the kernel for each line would be too much."""
        fleet, key = self._index.fleet, (source, line.host)
        at, number = self._known.get(key, (now - _KNOWN_SECONDS - 1, None))
        if now - at <= _KNOWN_SECONDS:
            return next((n for n in fleet.nodes if n.id == number), None)
        node = sender_of(fleet, source, line.host, self._card_at)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = now, node.id if node else None
        return node

    async def run(self) -> None:
        """Write what came, every second, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_WRITE_SECONDS)
                await self._write()
        finally:
            with contextlib.suppress(StoreProblem, RuntimeError):  # its thread may have ended
                await self._write()

    async def _write(self) -> None:
        if not self._waiting:
            return
        batch = list(self._waiting)
        kept = [self._masked(line) for line in batch]
        try:
            await self._index.ask(partial(_keep, lines=kept))
        except StoreProblem as error:
            log.error("%s", error)
            return
        for _ in batch:
            self._waiting.popleft()

    def _masked(self, line: Line) -> Line:
        return Line(node=line.node, at=line.at, source=line.source, text=mask_text(line.text, {}))


def sender_of(fleet: Fleet, source: str, host: str, card_at: CardAt) -> Node | None:
    """By the card behind the address; by the address a node has told of itself; by the name that
    the message has: a relay passes on others' messages. A name alone proves nothing, and so it
    counts only where the address is nobody's."""
    card = card_at(source)
    if card is not None and card in fleet.by_mac:
        return fleet.by_mac[card]
    for node in fleet.nodes:
        if source in node.facts.get("addresses", "").split(","):
            return node
    return next((n for n in fleet.nodes if host and n.spec and n.spec.name == host), None)


def _keep(store: Store, *, lines: Sequence[Line]) -> None:
    with store.writing() as connection:
        put_lines(connection, lines)


async def serve_syslog(sock: socket.socket, syslog: Syslog) -> None:
    """Until cancelled."""
    async for datagram in arrivals(sock):
        syslog.take(datagram.data, datagram.source[0])
