"""Tells others what happens, by POST. Each hook reads the event log at its own pace: the log is its
queue, on the disk, and a receiver that hangs holds up nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from ..boot.hooks import Webhook
from ..errors import StoreProblem
from ..store.cursors import News, catch_up, move_on, read_hooks, start_of
from ..store.index import Index
from .hook_body import SIGNATURE, TIMESTAMP, body_of, is_wanted, signature

log = logging.getLogger(__name__)

_TRY_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds. `poll`: how often there may be news; `first` doubles up to `longest` from one try to
    the next; `give_up`: how old an event is no longer told."""

    poll: float = 1.0
    patience: float = 10.0
    first: float = 2.0
    longest: float = 600.0
    give_up: float = 86400.0


class Hooks:
    """`now`: seconds since 1970."""

    def __init__(
        self, index: Index, pace: Pace = Pace(), now: Callable[[], float] = time.time
    ) -> None:
        self._index, self._pace, self._now = index, pace, now
        self._running: dict[Webhook, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled. Hooks come and go with the site file."""
        async with aiohttp.ClientSession(trust_env=True) as session:
            try:
                while True:
                    with contextlib.suppress(StoreProblem):
                        self._match(await self._index.ask(read_hooks), session)
                    await asyncio.sleep(self._pace.poll)
            finally:
                await self._stop(list(self._running))

    def _match(self, wanted: tuple[Webhook, ...], session: aiohttp.ClientSession) -> None:
        for hook, task in list(self._running.items()):
            if hook not in wanted:
                self._running.pop(hook).cancel()
            elif task.done():  # a fault of ours: begun anew, and told
                log.error("webhook %s: %r", _place(hook), self._running.pop(hook).exception())
        for hook in wanted:
            if hook not in self._running:
                work = self._follow(hook, session)
                self._running[hook] = asyncio.get_running_loop().create_task(work)

    async def _stop(self, hooks: list[Webhook]) -> None:
        tasks = [self._running.pop(hook) for hook in hooks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, hook: Webhook, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                told = await self._index.ask(lambda store: start_of(store, hook.url))
                while True:
                    told = await self._tell_news(hook, told, session)
            except StoreProblem as error:
                log.error("%s", error)
                await asyncio.sleep(self._pace.first)

    async def _tell_news(self, hook: Webhook, told: int, session: aiohttp.ClientSession) -> int:
        """The number of the last event that is dealt with."""
        batch = await self._index.ask(lambda store: catch_up(store, told))
        if not batch:
            await asyncio.sleep(self._pace.poll)
        kept = told
        for news in batch:
            told = news.entry.id
            if is_wanted(hook, news.entry, news.change):
                await self._tell(hook, news, session)
                kept = await self._keep(hook, told)
        # What was passed over stays so, though the hook may be given other events later.
        return told if told == kept else await self._keep(hook, told)

    async def _keep(self, hook: Webhook, told: int) -> int:
        await self._index.ask(lambda store: move_on(store, hook.url, told))
        return told

    async def _tell(self, hook: Webhook, news: News, session: aiohttp.ClientSession) -> None:
        """Until it is taken, refused for good, or too old."""
        event, pause = news.entry.event, self._pace.first
        node = next((n for n in self._index.fleet.nodes if n.id == event.node), None)
        body = body_of(news.entry, news.change, node)
        while True:
            status, said = await self._post(hook, body, session)
            if 200 <= status < 300:
                return
            if 400 <= status < 500 and status not in _TRY_AGAIN:
                log.warning("webhook %s: %s; event %d dropped", _place(hook), said, news.entry.id)
                return
            if self._now() - event.at.timestamp() > self._pace.give_up:
                log.warning("webhook %s: %s; event %d given up", _place(hook), said, news.entry.id)
                return
            log.info("webhook %s: %s; again in %.0f s", _place(hook), said, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._pace.longest)

    async def _post(
        self, hook: Webhook, body: bytes, session: aiohttp.ClientSession
    ) -> tuple[int, str]:
        """The answer's status, 0 for none, and what to say of it. Redirects are no answer: what
        is signed is meant for this address."""
        headers = {"Content-Type": "application/json", TIMESTAMP: str(int(self._now()))}
        if hook.secret:
            headers[SIGNATURE] = signature(hook.secret, body)
        patience = aiohttp.ClientTimeout(total=self._pace.patience)
        try:
            async with session.post(
                hook.url, data=body, headers=headers, timeout=patience, allow_redirects=False
            ) as answer:
                return answer.status, f"answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, f"no answer ({type(error).__name__})"


def _place(hook: Webhook) -> str:
    """For the log: what follows the host is a secret, as often as not."""
    parts = urlsplit(hook.url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
