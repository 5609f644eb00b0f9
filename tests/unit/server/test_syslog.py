"""What is filed under whom, how much of it, and what is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Site
from kairos_netboot.server.syslog import Syslog, sender_of
from kairos_netboot.store.index import Index
from kairos_netboot.store.logs import lines_after
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER, fleet, node

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NEAR = "192.0.2.7"
CARDS = {NEAR: MAC, "192.0.2.8": STRANGER}


def test_a_sender_is_known_by_its_card() -> None:
    found = sender_of(fleet(node()), NEAR, "", CARDS.get)
    assert found is not None
    assert found.name == "alpha"


def test_a_sender_is_known_by_an_address_that_it_told() -> None:
    known = fleet(node(facts={"addresses": "10.0.0.1,192.0.2.9"}))
    assert sender_of(known, "192.0.2.9", "", CARDS.get) is not None
    assert sender_of(known, "192.0.2.91", "", CARDS.get) is None


def test_a_relay_s_message_is_known_by_its_host_s_name() -> None:
    assert sender_of(fleet(node()), "192.0.2.200", "alpha", CARDS.get) is not None
    assert sender_of(fleet(node()), "192.0.2.200", "beta", CARDS.get) is None


def test_a_name_counts_less_than_a_card() -> None:
    other = node(id=2, macs=(STRANGER,), spec=None)
    found = sender_of(fleet(node(), other), "192.0.2.8", "alpha", CARDS.get)
    assert found is other


class Place:
    def __init__(self, store: Store, syslog: Syslog) -> None:
        self.store, self.syslog, self.now = store, syslog, 0.0

    async def kept(self) -> list[str]:
        work = asyncio.ensure_future(self.syslog.run())
        await asyncio.sleep(0)
        work.cancel()  # what waits is written at the end
        await asyncio.gather(work, return_exceptions=True)
        with self.store.reading() as connection:
            return [line.text for line in lines_after(connection, 1, 0)]


Story = Callable[[Place], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    async def run(story: Story) -> None:
        store = Store(tmp_path / "state")
        store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
        index = Index(store)
        await index.load()
        place: Place

        def card_at(source: str) -> Mac | None:
            return CARDS.get(source)

        place = Place(store, Syslog(index, card_at, clock=lambda: place.now))
        try:
            await story(place)
        finally:
            store.close()

    return lambda story: asyncio.run(run(story))


def test_lines_are_filed_with_the_program_that_said_them(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        place.syslog.take(b"<30>Nov 23 09:00:00 alpha systemd[1]: Started x.", NEAR)
        place.syslog.take(b"<13>plain", NEAR)
        assert await place.kept() == ["systemd: Started x.", "plain"]

    play(story)


def test_secrets_are_masked(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        url = f"http://192.0.2.1/documents/{'0a' * 16}/cloud-config.yaml"
        place.syslog.take(f"<6>ipxe: {url} K3S_TOKEN=hunter2hunter2".encode(), NEAR)
        (line,) = await place.kept()
        assert "0a0a" not in line
        assert "hunter2" not in line

    play(story)


def test_a_storm_is_cut_and_counted(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        for number in range(2500):
            place.syslog.take(f"<13>{number}".encode(), NEAR)
        place.now = 1.0
        place.syslog.take(b"<13>calm", NEAR)
        kept = await place.kept()
        assert kept[-3:] == ["1999", "(500 lines came too fast and were dropped)", "calm"]

    play(story)


def test_strangers_are_dropped_with_one_line(
    play: Callable[[Story], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(place: Place) -> None:
        for _ in range(10):
            place.syslog.take(b"<13>hello", "198.51.100.1")
        assert await place.kept() == []

    with caplog.at_level(logging.INFO, logger="kairos_netboot"):
        play(story)
    said = [record.getMessage() for record in caplog.records if "syslog" in record.name]
    assert said == ["syslog: 198.51.100.1 is no machine known here: what it logs is dropped"]


def test_what_is_logged_is_a_sign_of_life(play: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        place.now = 1e9  # far from the index's own start
        place.syslog.take(b"<13>hello", NEAR)
        assert place.syslog._index.signs.silence(1, 1e9 + 5) == 5

    play(story)
