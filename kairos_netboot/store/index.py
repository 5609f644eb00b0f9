"""The fleet in memory, in front of the store: packets are answered from here and wait for nothing.

What only tells (offers, downloads) is queued and written soon; what changes a node's state is
written first and answered after. Every call of the store runs in one thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from ..boot.actions import STARTS, Action
from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import Kind
from ..boot.overdue import OWN, Signs
from ..boot.site import Image
from ..boot.tokens import BootTokens
from ..dhcp.leasebook import Lease
from ..errors import StoreProblem
from ..values import Mac
from .store import Store

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

# The command line writes through the same database; this is how soon the server notices.
_POLL_SECONDS = 0.5
# What may wait to be written when a network storms; older news goes first, and is counted.
_QUEUE = 10_000
_SAME_NEWS_SECONDS = 30.0
# How exactly it is known when a machine was there last.
_SEEN_SECONDS = 60.0
# How long a database that did not answer is left alone.
_RETRY_SECONDS = 2.0


class Index:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._queue: deque[tuple[Event, str | None]] = deque(maxlen=_QUEUE)
        self._seen: dict[Mac, dict[str, str]] = {}
        self._url = self._written_url = ""
        self._news = asyncio.Event()
        self._is_full = False
        self._writing = asyncio.Lock()
        self._noted: dict[tuple[int, str], float] = {}
        self.signs = Signs(time.monotonic())
        self.fleet = Fleet()

    async def load(self) -> None:
        self.fleet = await self._call(self._store.fleet)

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))

    # News that nobody waits for

    def note(self, node: Node, kind: Kind, text: str, once: str | None = None) -> None:
        """Put on a node's timeline soon. `once`: not again while the node's log has that key.

        The same sentence within half a minute is the same news: a machine that asks for ever, or
        somebody who plays one, must not fill the disk.
        """
        now = time.monotonic()
        if kind in OWN:
            self.signs.heard(node.id, now)
        last = self._noted.get((node.id, text), -_SAME_NEWS_SECONDS)
        if now - last < _SAME_NEWS_SECONDS and kind is not Kind.BRAKED:  # which changes its state
            return
        if len(self._noted) > _QUEUE:
            self._noted.clear()
        self._noted[node.id, text] = now
        if len(self._queue) == _QUEUE:
            log.warning("the timeline cannot keep up: dropping the oldest entry")
        self._queue.append((_event(node, kind, text), once))
        self._news.set()

    def brake(self, node: Node, why: str) -> None:
        """Mark a node failed that has used up its starts."""
        self.note(node, Kind.BRAKED, why, f"braked:{node.document_key[:16]}")
        log.warning("%s", why)

    def seen(self, mac: Mac, facts: Mapping[str, str]) -> None:
        """Remember what a request told of its machine; one that nobody named is recorded."""
        node, now = self.fleet.by_mac.get(mac), datetime.now(UTC)
        if node:
            self.signs.heard(node.id, time.monotonic())
        if node and {**node.facts, **facts} == node.facts and not _is_long_ago(node.seen, now):
            return
        if node:
            known = replace(node, facts={**node.facts, **facts}, seen=now)
            self.fleet = self.fleet.with_node(known)
        if mac in self._seen or len(self._seen) < _QUEUE:
            self._seen[mac] = {**self._seen.get(mac, {}), **facts}
            self._news.set()

    async def met(self, mac: Mac, facts: Mapping[str, str] | None = None) -> None:
        """As `seen`, and it is recorded by then: what it told may have named it."""
        self.seen(mac, facts or {})
        if mac in self._seen:
            async with self._writing:
                await self._write_news()

    @contextlib.contextmanager
    def sending(self, node: Node | None) -> Iterator[None]:
        """While bytes go to a machine, it is not silent."""
        if node is None:
            yield
            return
        self.signs.begins(node.id)
        try:
            yield
        finally:
            self.signs.ends(node.id, time.monotonic())

    def reached_at(self, url: str) -> None:
        """Remember where machines reach us, for `explain`."""
        if url != self._url:
            self._url = url
            self._news.set()

    # What is acknowledged only when it is written

    async def report(self, node: Node, kind: Kind, text: str, once: str) -> Node:
        """The node after an event, which by then is on the disk; raises StoreProblem if not."""
        self.signs.heard(node.id, time.monotonic())
        async with self._writing:
            await self._write_news()
            await self._record([(_event(node, kind, text), once)])
        return next((n for n in self.fleet.nodes if n.id == node.id), node)

    async def begin_boot(
        self,
        node: Node,
        tokens: BootTokens,
        text: str,
        image: Image,
        action: Action = Action.INSTALL,
    ) -> Node | None:
        """As Store.begin_boot."""
        event = _event(node, STARTS[action], text)
        self.signs.heard(node.id, time.monotonic())
        async with self._writing:
            begun = await self._call(self._store.begin_boot, node, tokens, event, image, action)
        if begun is None:
            await self.load()
        else:
            self.fleet = self.fleet.with_node(begun)
        return begun

    async def order_done(self, node: Node) -> Node:
        """The node without its order."""
        async with self._writing:
            done = await self._call(self._store.set_order, node.name, None, datetime.now(UTC))
        self.fleet = self.fleet.with_node(done)
        return done

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking operation of the store, in its thread; what it wrote is loaded by then."""
        async with self._writing:
            result = await self._call(work, *args, **kwargs)
            await self.load()
        return result

    async def ask(self, work: Callable[[Store], T]) -> T:
        """As `call`, for what changes nothing of the fleet."""
        return await self._call(work, self._store)

    async def change(self, work: Callable[[Store], T]) -> T:
        """As `ask`, for what changes the fleet: it is loaded by then."""
        async with self._writing:
            result = await self._call(work, self._store)
            await self.load()
        return result

    async def keep_leases(self, leases: Sequence[Lease]) -> None:
        """On the disk when it returns; raises StoreProblem."""
        await self._call(self._store.put_leases, leases, int(time.time()))

    # The writer

    async def run(self) -> None:
        """Write news as it comes and follow what other processes write, until cancelled.

        A database that does not answer stops no packet: the news wait for it.
        """
        known = -1
        try:
            while True:
                await self._wait_for_news()
                try:
                    known = await self._once(known)
                except StoreProblem as error:
                    log.error("%s", error)
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            with contextlib.suppress(StoreProblem):
                await self._once(known)
            self._thread.shutdown()

    async def _once(self, known: int) -> int:
        async with self._writing:
            await self._write_news()
        now = await self._call(self._store.change_count)
        if now != known:
            await self.load()
        return now

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def _write_news(self) -> None:
        """All or nothing of each kind; what could not be written is kept for the next time."""
        if self._seen:
            seen = dict(self._seen)
            found = await self._call(self._store.discover, seen, datetime.now(UTC))
            has_changed = any(map(self._has_changed, found))
            for node in found:
                self._put(node)
            if has_changed:  # rows were made one with it, and it may have joined a cluster
                await self.load()
            if len(found) < len(seen) and not self._is_full:
                self._is_full = True
                log.warning("more machines ask than are kept: name those you know in the site file")
            later = {mac: facts for mac, facts in self._seen.items() if seen.get(mac) != facts}
            self._seen = later
        if self._url != self._written_url:
            url = self._url
            await self._call(self._store.set_server_url, url)
            self._written_url = url
        if batch := list(self._queue):
            await self._record(batch)
            for _ in batch:
                self._queue.popleft()

    async def _record(self, batch: Sequence[tuple[Event, str | None]]) -> None:
        for changed in await self._call(self._store.record, batch):
            self._put(changed)
        if any(event.kind is Kind.READY for event, _ in batch):
            await self.load()  # its cluster is there from now on

    def _has_changed(self, node: Node) -> bool:
        """Whether what a machine told has given it a name, or a profile."""
        known = next((n for n in self.fleet.nodes if n.id == node.id), None)
        before = (known.spec, known.macs) if known else None
        return node.spec is not None and before != (node.spec, node.macs)

    def _put(self, node: Node) -> None:
        if node.spec is None and node.id not in {known.id for known in self.fleet.nodes}:
            log.info("%s asked to boot; nobody named it", node.name)
        self.fleet = self.fleet.with_node(node)


def _event(node: Node, kind: Kind, text: str) -> Event:
    return Event(node=node.id, at=datetime.now(UTC), kind=kind, text=text)


def _is_long_ago(seen: datetime | None, now: datetime) -> bool:
    """Whether it is to be written again when a machine was there last."""
    return seen is None or (now - seen).total_seconds() > _SEEN_SECONDS
