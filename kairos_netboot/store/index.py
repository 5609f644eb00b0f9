"""The fleet in memory, in front of the store: packets are answered from here and wait for nothing.

What only tells (offers, downloads) is queued and written soon; what changes a node's state is
written first and answered after. Every call of the store runs in one thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import Kind
from ..boot.tokens import BootTokens
from ..values import Mac
from .store import Store

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

# The command line writes through the same database; this is how soon the server notices.
_POLL_SECONDS = 0.5
# What may wait to be written when a network storms; older news goes first, and is counted.
_QUEUE = 10_000


class Index:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._queue: deque[tuple[Event, str | None]] = deque(maxlen=_QUEUE)
        self._seen: dict[Mac, dict[str, str]] = {}
        self._url = self._written_url = ""
        self._news = asyncio.Event()
        self._flushing = asyncio.Lock()
        self.fleet = Fleet()

    async def load(self) -> None:
        self.fleet = await self._call(self._store.fleet)

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))

    # News that nobody waits for

    def note(self, node: Node, kind: Kind, text: str, once: str | None = None) -> None:
        """Put on a node's timeline soon. `once`: not again while the node's log has that key."""
        if len(self._queue) == _QUEUE:
            log.warning("the timeline cannot keep up: dropping the oldest entry")
        self._queue.append((_event(node, kind, text), once))
        self._news.set()

    def brake(self, node: Node, why: str) -> None:
        """Mark a node failed that has used up its starts."""
        self.note(node, Kind.BRAKED, why, f"braked:{node.report_key[:16]}")
        log.warning("%s", why)

    def seen(self, mac: Mac, facts: Mapping[str, str]) -> None:
        """Remember what a request told of its machine; one that nobody named is recorded."""
        node = self.fleet.by_mac.get(mac)
        if node and {**node.facts, **facts} == node.facts:
            return
        if node:
            self.fleet = self.fleet.with_node(replace(node, facts={**node.facts, **facts}))
        if mac in self._seen or len(self._seen) < _QUEUE:
            self._seen[mac] = dict(facts)
            self._news.set()

    def reached_at(self, url: str) -> None:
        """Remember where machines reach us, for `explain`."""
        if url != self._url:
            self._url = url
            self._news.set()

    # What is acknowledged only when it is written

    async def report(self, node: Node, kind: Kind, text: str, once: str) -> Node:
        """The node after an event, which by then is on the disk."""
        self._queue.append((_event(node, kind, text), once))
        await self._flush()
        return next((n for n in self.fleet.nodes if n.id == node.id), node)

    async def begin_boot(self, node: Node, tokens: BootTokens, text: str) -> Node | None:
        """As Store.begin_boot."""
        await self._flush()
        event = _event(node, Kind.BOOT_STARTED, text)
        begun = await self._call(self._store.begin_boot, node.id, tokens, event)
        if begun is None:
            await self.load()
        else:
            self.fleet = self.fleet.with_node(begun)
        return begun

    # The writer

    async def run(self) -> None:
        """Write news as it comes and follow what other processes write, until cancelled."""
        known = await self._call(self._store.change_count)
        try:
            while True:
                await self._wait_for_news()
                await self._flush()
                now = await self._call(self._store.change_count)
                if now != known:
                    known = now
                    await self.load()
        finally:
            await self._flush()
            self._thread.shutdown()

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def _flush(self) -> None:
        """Returns when all that was noted before is on the disk, whoever wrote it."""
        async with self._flushing:
            await self._write()

    async def _write(self) -> None:
        seen, self._seen = self._seen, {}
        for mac, facts in seen.items():
            node = await self._call(self._store.discover, mac, facts, datetime.now(UTC))
            if node is None:
                log.warning("%s asked, and too many machines nobody named are known already", mac)
            elif mac not in self.fleet.by_mac:
                self.fleet = self.fleet.with_node(node)
                log.info("%s asked to boot; nobody named it, no answer", mac)
        if self._url != self._written_url:
            self._written_url = self._url
            await self._call(self._store.set_server_url, self._url)
        if self._queue:
            batch = list(self._queue)
            self._queue.clear()
            for changed in await self._call(self._store.record, batch):
                self.fleet = self.fleet.with_node(changed)


def _event(node: Node, kind: Kind, text: str) -> Event:
    return Event(node=node.id, at=datetime.now(UTC), kind=kind, text=text)
