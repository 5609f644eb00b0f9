"""What DHCP leaves on a timeline, with a real store behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kairos_netboot.boot.decide import Decision, Outcome
from kairos_netboot.boot.fleet import Event, Fleet
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.respond import Asked, Response
from kairos_netboot.boot.site import Site
from kairos_netboot.dhcp.answer import Reply, Service
from kairos_netboot.dhcp.client import recognise
from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import MessageType, Op, Packet
from kairos_netboot.server.journal import Journal
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 23, tzinfo=UTC)
UEFI: Mapping[int, bytes] = {Option.CLASS_IDENTIFIER: b"PXEClient:Arch:00007:UNDI:003016"}
UNKNOWN: Mapping[int, bytes] = {Option.CLASS_IDENTIFIER: b"PXEClient:Arch:00199:UNDI:003016"}
DECISION = Decision(outcome=Outcome.INSTALL, reason="alpha is armed")
Told = tuple[Fleet, list[Event]]


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Told]:
    """The fleet and alpha's timeline after these were heard."""

    async def hear(store: Store, *heard: tuple[Asked, Response]) -> Fleet:
        index = Index(store)
        await index.load()
        journal = Journal(index)
        writer = asyncio.ensure_future(index.run())
        for asked, response in heard:
            journal.heard(asked, response)
            await asyncio.sleep(0.02)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        return store.fleet()

    def run(*heard: tuple[Asked, Response]) -> Told:
        store = Store(tmp_path / "state")
        store.add_image(stand_in(store.blobs))
        site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC})
        store.apply(site, NOW)
        fleet = asyncio.run(hear(store, *heard))
        timeline = list(store.timeline(fleet.named("alpha").id))
        store.close()
        return fleet, [event for event in timeline if event.text.partition(":")[0] in _OURS]

    return run


_OURS = ("DHCP", "port 4011")


def _asked(
    options: Mapping[int, bytes], mac: str = MAC, service: Service = Service.PROXY, xid: int = 1
) -> Asked:
    kind: Mapping[int, bytes] = {Option.MESSAGE_TYPE: bytes([MessageType.DISCOVER])}
    request = Packet(
        op=Op.REQUEST,
        xid=xid,
        hardware_address=bytes.fromhex(mac.replace(":", "")),
        options={**kind, **options},
    )
    return Asked(
        request=request,
        client=recognise(request),
        service=service,
        source=("0.0.0.0", 68),
        server=IPv4Address("192.0.2.2"),
        http_port=8080,
        interface="eth0",
    )


def _answered(asked: Asked, file: str = "52-54-00-00-00-01/snponly.efi") -> Response:
    reply = Reply(packet=asked.request, destination=("255.255.255.255", 68))
    return Response(decision=DECISION, reason=DECISION.reason, reply=reply, boot_file=file)


def test_an_ordinary_client_that_makes_noise_fills_no_log(
    told: Callable[..., Told], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kairos_netboot")
    noise = [(_asked({}, mac=STRANGER, xid=xid), PLAIN) for xid in range(60)]
    told(*noise)
    about = [text for text in caplog.messages if STRANGER in text]
    assert about == [f"DHCP: {STRANGER} on eth0: offered 192.0.2.10"] * 20


PLAIN = Response(decision=None, reason="offered 192.0.2.10")
SILENT = Response(decision=DECISION, reason="its way of asking is not known here")


def test_an_offer_is_on_the_timeline_once_however_often_it_was_asked_for(
    told: Callable[..., Told],
) -> None:
    asked = _asked(UEFI)
    fleet, timeline = told((asked, _answered(asked)), (asked, _answered(asked)))
    assert [(event.kind, event.text) for event in timeline] == [
        (Kind.DHCP_OFFER, "DHCP: UEFI firmware (amd64) asked and was sent to snponly.efi")
    ]
    assert fleet.named("alpha").facts["firmware"] == "uefi"


def test_port_4011_has_a_sentence_of_its_own(told: Callable[..., Told]) -> None:
    asked = _asked(UEFI, service=Service.BOOT_SERVER)
    _, [event] = told((asked, _answered(asked)))
    assert event.kind is Kind.BOOT_SERVER
    assert event.text == "port 4011: UEFI firmware (amd64) asked again and was sent to snponly.efi"


def test_a_lease_without_a_file_says_why_it_was_given(told: Callable[..., Told]) -> None:
    asked = _asked(UEFI)
    _, [event] = told((asked, _answered(asked, file="")))
    assert event.text == "DHCP: UEFI firmware (amd64) asked: alpha is armed"


def test_silence_says_why(told: Callable[..., Told]) -> None:
    response = Response(decision=DECISION, reason="alpha is installed: it boots its disk")
    _, [event] = told((_asked(UEFI), response))
    assert event.kind is Kind.LEFT_ALONE
    assert event.text == (
        "DHCP: UEFI firmware (amd64) asked; no answer: alpha is installed: it boots its disk"
    )


def test_what_unknown_firmware_said_is_kept_and_shown(told: Callable[..., Told]) -> None:
    fleet, [event] = told((_asked(UNKNOWN), SILENT))
    said = '53=01 60="PXEClient:Arch:00199:UNDI:003016"'
    assert fleet.named("alpha").facts["unknown"] == said
    assert event.kind is Kind.LEFT_ALONE
    assert event.text.endswith(f"asked in a way not known here, and got no answer; it said {said}")


def test_unknown_firmware_of_a_machine_that_nobody_named_is_kept_too(
    told: Callable[..., Told],
) -> None:
    fleet, timeline = told((_asked(UNKNOWN, STRANGER), SILENT))
    assert "PXEClient:Arch:00199" in fleet.by_mac[STRANGER].facts["unknown"]
    assert timeline == []


def test_a_machine_that_asks_in_a_known_way_later_is_unknown_no_more(
    told: Callable[..., Told],
) -> None:
    again = _asked(UEFI, xid=2)
    fleet, _ = told((_asked(UNKNOWN), SILENT), (again, _answered(again)))
    assert not fleet.named("alpha").facts["unknown"]


def test_an_ordinary_clients_lease_is_no_news_of_a_machine(
    told: Callable[..., Told], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    asked = _asked({}, STRANGER)
    response = Response(decision=None, reason="has 192.0.2.100 for 12 hours")
    fleet, timeline = told((asked, response))
    assert STRANGER not in fleet.by_mac
    assert timeline == []
    assert f"DHCP: {STRANGER} on eth0: has 192.0.2.100 for 12 hours" in caplog.text


def test_where_a_machine_asks_from_is_one_of_its_facts(told: Callable[..., Told]) -> None:
    agent = bytes([1, 3]) + b"1/7"
    asked = _asked({**UEFI, Option.RELAY_AGENT: agent}, STRANGER)
    relayed = replace(asked.request, relay=IPv4Address("10.1.0.1"))
    heard = replace(asked, request=relayed, interface="eth0")
    fleet, _ = told((heard, Response(decision=None, reason="nobody named it")))
    facts = fleet.by_mac[STRANGER].facts
    assert (facts["network"], facts["interface"]) == ("10.1.0.1", "eth0")
    assert facts["switch-port"] == "1/7"
