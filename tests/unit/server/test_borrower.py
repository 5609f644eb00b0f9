"""What the site's server offers, overheard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from kairos_netboot.boot.respond import Asked
from kairos_netboot.dhcp.answer import Reply, Service
from kairos_netboot.dhcp.packet import MessageType, Packet, encode
from kairos_netboot.server import borrower
from kairos_netboot.server.borrower import Borrower
from kairos_netboot.server.udp import Datagram, Endpoint
from tests.unit.dhcp.lease_sample import OTHER, SERVER, address, request
from tests.unit.dhcp.test_borrow import SITES_OFFER

Answer = tuple[Reply | None, bool]
DISCOVER = request(MessageType.DISCOVER)
TAKE = request(MessageType.REQUEST, wants=address(77), chosen=SERVER)


class Ear:
    """A wire on which others are answered."""

    where = "memory"

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def arrivals(self) -> AsyncIterator[Datagram]:
        while True:
            data = await self.heard.get()
            yield Datagram(data=data, source=("192.0.2.1", 67), local="192.0.2.2", interface=1)

    def send(
        self, data: bytes, destination: Endpoint, *, via: Datagram, hardware: bytes = b""
    ) -> None:
        raise AssertionError("nothing is sent there")

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borrower, "_PATIENCE_SECONDS", 0.05)


def played(
    *packets: Packet, offers: tuple[bytes, ...] = (encode(SITES_OFFER),), late: float = 0.0
) -> list[Answer]:
    """The answers to these in turn; the site's server offers after `late` seconds."""

    async def scene() -> list[Answer]:
        ear = Ear()
        found = Borrower(ear)
        listening = asyncio.ensure_future(found.run())
        for data in offers:
            asyncio.get_running_loop().call_later(late, ear.heard.put_nowait, data)
        answers = [await found.answer(_asked(packet)) for packet in packets]
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        return answers

    return asyncio.run(scene())


def _asked(packet: Packet) -> Asked:
    return Asked(
        request=packet,
        client=None,
        service=Service.PROXY,
        source=("0.0.0.0", 68),
        server=SERVER,
        http_port=80,
        interface="eth0",
    )


def _given(answer: Answer) -> tuple[MessageType | None, IPv4Address]:
    assert answer[0] is not None
    return answer[0].packet.message_type, answer[0].packet.your_address


def test_the_sites_offer_is_waited_for_and_lent() -> None:
    [offer, ack] = played(DISCOVER, TAKE, late=0.02)
    assert _given(offer) == (MessageType.OFFER, address(77))
    assert _given(ack) == (MessageType.ACK, address(77))


def test_where_nothing_is_heard_nothing_can_be_lent() -> None:
    assert played(DISCOVER, offers=()) == [(None, False)]


@pytest.mark.parametrize(
    "changes",
    [{"xid": 0xEEEE}, {"hardware_address": OTHER}, {"your_address": IPv4Address(0)}],
    ids=["another request", "another card", "a proxy"],
)
def test_an_offer_that_is_not_this_requests_is_not_lent(changes: dict[str, object]) -> None:
    other = replace(SITES_OFFER, **changes)  # type: ignore[arg-type]
    assert played(DISCOVER, offers=(encode(other),)) == [(None, False)]


def test_a_lease_that_names_us_is_left_to_the_site() -> None:
    """A next-server line of the operator's: GRUB comes here by it."""
    named = replace(SITES_OFFER, next_server=SERVER)
    assert played(DISCOVER, offers=(encode(named),)) == [(None, True)]


def test_who_takes_the_sites_offer_is_not_answered() -> None:
    theirs = request(MessageType.REQUEST, wants=address(77), chosen=address(1))
    assert played(DISCOVER, theirs)[1] == (None, True)


def test_who_was_lent_nothing_is_acknowledged_nothing() -> None:
    assert played(TAKE) == [(None, True)]


def test_noise_on_the_port_is_passed_over() -> None:
    noise = (b"", b"\0" * 300, encode(DISCOVER))
    [offer] = played(DISCOVER, offers=(*noise, encode(SITES_OFFER)))
    assert _given(offer)[1] == address(77)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borrower, "_REMEMBERED", 8)
    others = [encode(replace(SITES_OFFER, xid=number)) for number in range(20)]
    last = replace(DISCOVER, xid=19)
    answers = played(last, DISCOVER, offers=(encode(SITES_OFFER), *others))
    assert [answer[1] for answer in answers] == [True, False]
