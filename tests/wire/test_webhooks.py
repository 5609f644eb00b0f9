"""Webhooks against a real receiver: who is told what, in which order, and how often."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kairos_netboot.boot.fleet import Event
from kairos_netboot.boot.hooks import Webhook
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.site import Site
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.web.webhooks import Hooks, Pace
from tests.unit.boot.sample import PROFILE, SPEC

pytestmark = pytest.mark.wire
FAST = Pace(poll=0.02, patience=0.3, first=0.02, longest=0.1)
CHANGES = (Kind.BOOT_STARTED, Kind.INSTALL_STARTED, Kind.INSTALL_FINISHED, Kind.READY)


@dataclass
class Receiver:
    """`answers`: a status for each request to come, the last one for ever; None never answers."""

    answers: list[int | None] = field(default_factory=lambda: [200])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        self.news.set()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status is None:
            await asyncio.sleep(30)
        return web.Response(status=status or 500, headers={"Location": "/elsewhere"})

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def events(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.news.clear()
                await self.news.wait()
        return [str(body["event"]) for body in self.told]


@asynccontextmanager
async def receiving(*answers: int | None) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(answers) or [200])
    app = web.Application()
    app.router.add_post("/{any:.*}", receiver.handle)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


class Place:
    def __init__(self, store: Store, index: Index) -> None:
        self.store, self.index = store, index

    async def applied(self, *hooks: Webhook) -> None:
        site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}, webhooks=hooks)
        await self.index.call(self.store.apply, site, datetime.now(UTC))

    async def happen(self, *kinds: Kind, at: datetime | None = None) -> None:
        at = at or datetime.now(UTC)
        events = [(Event(node=1, at=at, kind=kind, text=f"it {kind}"), None) for kind in kinds]
        await self.index.call(self.store.record, events)

    @asynccontextmanager
    async def telling(self, pace: Pace = FAST) -> AsyncIterator[None]:
        work = asyncio.ensure_future(Hooks(self.index, pace).run())
        await asyncio.sleep(0.15)  # each has found its place
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


Story = Callable[[Place], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async def run(story: Story) -> None:
        store = Store(tmp_path / "state")
        index = Index(store)
        writer = asyncio.ensure_future(index.run())
        try:
            await story(Place(store, index))
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            store.close()

    return lambda story: asyncio.run(run(story))


def test_changes_of_state_are_told_in_their_order_and_signed(
    play: Callable[[Story], None],
) -> None:
    async def story(place: Place) -> None:
        async with receiving() as receiver:
            await place.applied(Webhook(url=receiver.url, secret="s3cret"))
            async with place.telling():
                await place.happen(Kind.FILE, *CHANGES, Kind.DOCUMENT)
                assert await receiver.events(4) == list(CHANGES)
                await asyncio.sleep(0.2)
        assert len(receiver.got) == 4
        for headers, body in receiver.got:
            expected = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
            assert headers["X-Kairos-Netboot-Signature"] == f"sha256={expected}"
            assert headers["Content-Type"] == "application/json"
            assert abs(int(headers["X-Kairos-Netboot-Timestamp"]) - datetime.now().timestamp()) < 60  # noqa: DTZ005
        assert [body["state"] for body in receiver.told] == [
            *("booting", "installing", "installed", "ready")
        ]
        assert receiver.told[0]["node"] == "alpha"

    play(story)


def test_without_a_secret_nothing_is_signed(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        async with receiving() as receiver:
            await place.applied(Webhook(url=receiver.url))
            async with place.telling():
                await place.happen(Kind.BOOT_STARTED)
                await receiver.events(1)
        assert "X-Kairos-Netboot-Signature" not in receiver.got[0][0]

    play(story)


def test_a_hook_with_a_list_is_told_of_that_alone(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        async with receiving() as receiver:
            await place.applied(Webhook(url=receiver.url, kinds=("file", "ready")))
            async with place.telling():
                await place.happen(Kind.FILE, *CHANGES, Kind.FILE)
                assert await receiver.events(3) == ["file", "ready", "file"]

    play(story)


@pytest.mark.parametrize("status", [500, 503, 408, 429, 302, None])
def test_what_was_not_taken_is_told_again_before_what_came_after(
    play: Callable[[Story], None], status: int | None
) -> None:
    async def story(place: Place) -> None:
        async with receiving(status, status, 200) as receiver:
            await place.applied(Webhook(url=receiver.url))
            async with place.telling():
                await place.happen(*CHANGES[:2])
                told = await receiver.events(4)
            assert told == [*[CHANGES[0]] * 3, CHANGES[1]]
            assert len({body for _, body in receiver.got[:3]}) == 1

    play(story)


def test_what_is_refused_is_dropped_and_said(
    play: Callable[[Story], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(place: Place) -> None:
        async with receiving(400, 200) as receiver:
            await place.applied(Webhook(url=receiver.url + "?key=hunter2"))
            async with place.telling():
                await place.happen(*CHANGES[:2])
                assert await receiver.events(2) == list(CHANGES[:2])

    with caplog.at_level(logging.INFO, logger="kairos_netboot"):
        play(story)
    said = [r.getMessage() for r in caplog.records if "webhook" in r.name]
    assert any("answered 400; event" in line and "dropped" in line for line in said)
    assert "hunter2" not in str(said)


def test_a_receiver_that_hangs_holds_up_nobody_else(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        async with receiving(None) as hanging, receiving() as lively:
            await place.applied(Webhook(url=hanging.url), Webhook(url=lively.url))
            async with place.telling(Pace(poll=0.02, patience=20)):
                await place.happen(*CHANGES)
                async with asyncio.timeout(2):
                    assert await lively.events(4) == list(CHANGES)
            assert len(hanging.got) == 1

    play(story)


def test_a_restart_loses_nothing_and_tells_nothing_twice(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        async with receiving() as receiver:
            await place.applied(Webhook(url=receiver.url))
            async with place.telling():
                await place.happen(*CHANGES[:2])
                await receiver.events(2)
                await asyncio.sleep(0.1)
            await place.happen(*CHANGES[2:])
            async with place.telling():
                assert await receiver.events(4) == list(CHANGES)
                await asyncio.sleep(0.2)
                assert len(receiver.got) == 4

    play(story)


def test_what_nobody_took_for_a_day_is_given_up(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        async with receiving(500, 200) as receiver:
            await place.applied(Webhook(url=receiver.url))
            async with place.telling():
                await place.happen(CHANGES[0], at=datetime(2020, 1, 1, tzinfo=UTC))
                await place.happen(CHANGES[1])
                assert await receiver.events(2) == list(CHANGES[:2])

    play(story)


def test_hooks_come_and_go_with_the_site_file(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        async with receiving() as first, receiving() as second:
            await place.applied(Webhook(url=first.url))
            async with place.telling():
                await place.applied(Webhook(url=second.url))
                await asyncio.sleep(0.2)
                await place.happen(CHANGES[0])
                await second.events(1)
            assert first.got == []

    play(story)


def test_a_hook_that_wants_other_events_now_is_not_told_old_ones(
    play: Callable[[Story], None],
) -> None:
    async def story(place: Place) -> None:
        async with receiving() as receiver:
            await place.applied(Webhook(url=receiver.url, kinds=("ready",)))
            async with place.telling():
                await place.happen(Kind.FILE)
                await asyncio.sleep(0.2)
                await place.applied(Webhook(url=receiver.url, kinds=("file",)))
                await asyncio.sleep(0.2)
                await place.happen(Kind.FILE)
                await asyncio.sleep(0.2)
            assert len(receiver.got) == 1

    play(story)
