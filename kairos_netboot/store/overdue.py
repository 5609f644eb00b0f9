"""Gives up nodes that have gone silent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..boot.fleet import Event, Node
from ..boot.lifecycle import Kind
from ..boot.overdue import OWN, is_overdue, overdue, verdict
from ..errors import StoreProblem
from .events import last_of
from .index import Index
from .store import Store

log = logging.getLogger(__name__)

_ROUND_SECONDS = 5.0
Clock = Callable[[], float]


async def watch_for_silence(
    index: Index, clock: Clock = time.monotonic, pause: float = _ROUND_SECONDS
) -> None:
    """Until cancelled. `clock`: seconds that only grow, those of the index's signs."""
    while True:
        await asyncio.sleep(pause)
        try:
            for node, _ in list(overdue(index.fleet, index.signs, clock())):
                await _give_up(index, node.id, clock)
        except StoreProblem as error:
            log.error("%s", error)


async def _give_up(index: Index, number: int, clock: Clock) -> None:
    last = await index.ask(lambda store: _did_last(store, number))
    # It may have come back meanwhile.
    silence = index.signs.silence(number, clock())
    node = next((n for n in index.fleet.nodes if n.id == number), None)
    if node is None or not is_overdue(node, index.fleet.profile_of(node), silence):
        return
    said = verdict(node, silence, last)
    log.warning("%s: %s", node.name, said)
    await index.report(node, Kind.TIMED_OUT, said, _once(node))


def _once(node: Node) -> str:
    return f"timed-out:{node.document_key[:16]}:{node.boots}"


def _did_last(store: Store, node: int) -> Event | None:
    with store.reading() as connection:
        return last_of(connection, node, OWN)
