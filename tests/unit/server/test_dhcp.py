from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.network import DhcpSite, Subnet
from kairos_netboot.boot.respond import Asked, Response
from kairos_netboot.dhcp.answer import Reply, Service
from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import MessageType, Op, Packet, decode, encode
from kairos_netboot.errors import MalformedPacket
from kairos_netboot.server.addresses import Addresses
from kairos_netboot.server.dhcp import Answer, DhcpSettings, fitting, serve_dhcp
from kairos_netboot.server.udp import Datagram, Endpoint
from kairos_netboot.values import Mac
from tests.unit.boot.sample import MAC, SPEC, fleet, node

LOOPBACK = socket.if_nametoindex("lo")
LAN, SECOND = IPv4Interface("192.0.2.1/24"), IPv4Interface("198.51.100.1/24")
EVERYONE = ("255.255.255.255", 68)
DISCOVER = Packet(
    op=Op.REQUEST,
    xid=1,
    hardware_address=bytes.fromhex(MAC.replace(":", "")),
    options={Option.MESSAGE_TYPE: bytes([MessageType.DISCOVER])},
)
SETTINGS = DhcpSettings(
    http_port=8080, addresses=Addresses(lambda: [(LOOPBACK, LAN), (LOOPBACK, SECOND)])
)


class Memory:
    """A wire whose datagrams are all there, and which notes what is sent."""

    where = "memory"

    def __init__(self, *datagrams: Datagram) -> None:
        self._datagrams = datagrams
        self.sent: list[tuple[bytes, Endpoint, str, bytes]] = []

    async def arrivals(self) -> AsyncIterator[Datagram]:
        for datagram in self._datagrams:
            yield datagram

    def send(
        self, data: bytes, destination: Endpoint, *, via: Datagram, hardware: bytes = b""
    ) -> None:
        self.sent.append((data, destination, via.local, hardware))

    def close(self) -> None:
        pass


def _datagram(request: Packet = DISCOVER, **changes: object) -> Datagram:
    datagram = Datagram(
        data=encode(request),
        source=("0.0.0.0", 68),
        local="192.0.2.1",
        interface=LOOPBACK,
        broadcast=True,
    )
    return replace(datagram, **changes)  # type: ignore[arg-type]


def _reply(asked: Asked, hardware: bytes = b"") -> Response:
    packet = replace(asked.request, op=Op.REPLY, next_server=asked.server)
    reply = Reply(packet=packet, destination=EVERYONE, hardware=hardware)
    return Response(decision=None, reason="because", reply=reply)


async def _at_once(asked: Asked) -> Response | None:
    return _reply(asked)


def _served(
    *datagrams: Datagram,
    answer: Answer = _at_once,
    settings: DhcpSettings = SETTINGS,
    known: Callable[[], Fleet] = Fleet,
) -> tuple[Memory, Sequence[tuple[Asked, Response]]]:
    wire, heard = Memory(*datagrams), list[tuple[Asked, Response]]()

    def hear(asked: Asked, response: Response) -> None:
        heard.append((asked, response))

    asyncio.run(serve_dhcp(wire, Service.PROXY, settings, known, answer, hear))
    return wire, heard


def test_a_request_is_answered_and_told_of() -> None:
    wire, [(asked, response)] = _served(_datagram())
    [(data, destination, local, hardware)] = wire.sent
    assert decode(data).next_server == IPv4Address("192.0.2.1")
    assert (destination, local, hardware) == (EVERYONE, "192.0.2.1", b"")
    assert asked.client is None  # it said nothing of a network boot
    assert (asked.interface, asked.http_port) == ("lo", 8080)
    assert response.reason == "because"


def test_where_a_broadcast_was_heard_is_known_and_of_unicasts_nothing() -> None:
    [(asked, _)] = _served(_datagram())[1]
    assert asked.broadcast_on == IPv4Address("192.0.2.1")
    [(asked, _)] = _served(_datagram(broadcast=False))[1]
    assert asked.broadcast_on is None


def test_silence_is_told_of_too() -> None:
    async def silence(_: Asked) -> Response | None:
        return Response(decision=None, reason="not for us")

    wire, heard = _served(_datagram(), answer=silence)
    assert wire.sent == []
    assert [response.reason for _, response in heard] == ["not for us"]


def test_what_is_no_boot_servers_business_is_not_told_of() -> None:
    async def nothing(_: Asked) -> Response | None:
        return None

    wire, heard = _served(_datagram(), answer=nothing)
    assert (wire.sent, heard) == ([], [])


def test_an_answer_to_an_ethernet_address_keeps_it() -> None:
    async def unicast(asked: Asked) -> Response | None:
        return _reply(asked, hardware=b"\x02\0\0\0\0\x01")

    wire, _ = _served(_datagram(), answer=unicast)
    assert wire.sent[0][3] == b"\x02\0\0\0\0\x01"


def test_an_answer_on_its_way_to_a_relay_of_this_host_is_none_of_ours() -> None:
    assert _served(_datagram(replace(DISCOVER, op=Op.REPLY)))[1] == []


def test_what_is_no_dhcp_stops_nothing() -> None:
    wire, _ = _served(_datagram(data=b"\x01\x02"), _datagram())
    assert len(wire.sent) == 1


def test_only_the_named_interfaces_are_answered() -> None:
    elsewhere = replace(SETTINGS, interfaces=frozenset({"eth7"}))
    assert _served(_datagram(), settings=elsewhere)[1] == []


def test_an_interface_without_address_is_not_answered_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bare = replace(SETTINGS, addresses=Addresses(list))
    firmware = replace(DISCOVER, options={Option.CLASS_IDENTIFIER: b"PXEClient:Arch:00007"})
    assert _served(_datagram(firmware, local="0.0.0.0"), settings=bare)[1] == []
    assert "DHCP on lo, which has no address: give it one, or --advertise" in caplog.text


def test_the_advertised_address_is_told_and_our_own_sent_from() -> None:
    advertised = replace(SETTINGS, advertise=IPv4Address("203.0.113.9"))
    wire, [(asked, _)] = _served(_datagram(), settings=advertised)
    assert asked.server == IPv4Address("203.0.113.9")
    assert wire.sent[0][2] == "192.0.2.1"


def test_one_slow_answer_holds_up_nobody() -> None:
    order = []

    async def slow_first(asked: Asked) -> Response | None:
        await asyncio.sleep(0.02 if asked.request.xid == 1 else 0)
        order.append(asked.request.xid)
        return None

    _served(_datagram(), _datagram(replace(DISCOVER, xid=2)), answer=slow_first)
    assert order == [2, 1]


def test_a_repeat_of_what_is_being_answered_is_not_answered_twice() -> None:
    async def slow(asked: Asked) -> Response | None:
        await asyncio.sleep(0.01)
        return _reply(asked)

    other = replace(DISCOVER, hardware_address=b"\x02\0\0\0\0\x09")
    kind: Mapping[int, bytes] = {Option.MESSAGE_TYPE: bytes([MessageType.REQUEST])}
    accepted = replace(DISCOVER, options=kind)
    wire, _ = _served(_datagram(), _datagram(), _datagram(other), _datagram(accepted), answer=slow)
    assert len(wire.sent) == 3


def test_what_comes_again_later_is_answered_again() -> None:
    class Later(Memory):
        async def arrivals(self) -> AsyncIterator[Datagram]:
            yield _datagram()
            await asyncio.sleep(0.01)
            yield _datagram()

    wire = Later()
    asyncio.run(serve_dhcp(wire, Service.PROXY, SETTINGS, Fleet, _at_once, lambda *_: None))
    assert len(wire.sent) == 2


def test_more_than_can_be_under_way_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def slow(asked: Asked) -> Response | None:
        await asyncio.sleep(0.01)
        return _reply(asked)

    storm = (_datagram(replace(DISCOVER, xid=number)) for number in range(2049))
    wire, _ = _served(*storm, answer=slow)
    assert len(wire.sent) == 2048
    assert "2048 DHCP answers are under way" in caplog.text


@pytest.mark.parametrize(
    "error", [MalformedPacket("too long"), OSError("network down"), RuntimeError("a bug")]
)
def test_one_clients_trouble_is_not_anothers(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def first_fails(asked: Asked) -> Response | None:
        if asked.request.xid == 1:
            raise error
        return _reply(asked)

    wire, _ = _served(_datagram(), _datagram(replace(DISCOVER, xid=2)), answer=first_fails)
    assert len(wire.sent) == 1
    assert str(error) in caplog.text


# Which of an interface's addresses answers


def _served_subnets(*networks: str) -> Fleet:
    subnets = tuple(Subnet(network=IPv4Network(network)) for network in networks)
    return Fleet(dhcp=DhcpSite(subnets=subnets))


@pytest.mark.parametrize(
    "changes",
    [
        {"relay": IPv4Address("198.51.100.254")},
        {"client_address": IPv4Address("198.51.100.7")},
        {"options": {Option.REQUESTED_ADDRESS: IPv4Address("198.51.100.7").packed}},
        {"options": {Option.SERVER_IDENTIFIER: IPv4Address("198.51.100.1").packed}},
    ],
)
def test_a_client_is_answered_from_the_address_in_its_network(changes: dict[str, object]) -> None:
    request = replace(DISCOVER, **changes)  # type: ignore[arg-type]
    assert fitting((LAN, SECOND), request, Fleet()) == SECOND.ip


def test_a_node_is_answered_from_the_network_of_its_reservation() -> None:
    reserved = node(spec=replace(SPEC, address=IPv4Address("198.51.100.7")))
    assert fitting((LAN, SECOND), DISCOVER, fleet(reserved)) == SECOND.ip
    stranger = replace(DISCOVER, hardware_address=b"\x02\0\0\0\0\x09")
    assert fitting((LAN, SECOND), stranger, fleet(reserved)) == LAN.ip


def test_where_nothing_tells_the_network_that_we_serve_decides() -> None:
    assert fitting((LAN, SECOND), DISCOVER, _served_subnets("198.51.100.0/24")) == SECOND.ip
    both = _served_subnets("198.51.100.0/24", "192.0.2.0/24")
    assert fitting((LAN, SECOND), DISCOVER, both) == LAN.ip


def test_else_the_primary_address_answers() -> None:
    away = replace(DISCOVER, relay=IPv4Address("203.0.113.1"))
    assert fitting((LAN, SECOND), away, Fleet()) == LAN.ip
    assert fitting((), DISCOVER, Fleet()) is None


def test_of_two_networks_around_a_client_the_narrower_is_its_own() -> None:
    wide = IPv4Interface("198.51.0.1/16")
    near = replace(DISCOVER, client_address=IPv4Address("198.51.100.7"))
    assert fitting((wide, SECOND), near, Fleet()) == SECOND.ip


def test_the_offer_of_another_server_tells_nothing_of_us() -> None:
    options: Mapping[int, bytes] = {Option.SERVER_IDENTIFIER: IPv4Address("198.51.100.2").packed}
    assert fitting((LAN, SECOND), replace(DISCOVER, options=options), Fleet()) == LAN.ip


def test_the_answer_leaves_from_the_address_that_it_names() -> None:
    relayed = _datagram(replace(DISCOVER, relay=IPv4Address("198.51.100.254")))
    wire, [(asked, _)] = _served(relayed)
    assert (str(asked.server), wire.sent[0][2]) == ("198.51.100.1", "198.51.100.1")


def test_who_asked_one_address_of_ours_is_answered_from_that_one() -> None:
    relayed = _datagram(replace(DISCOVER, relay=IPv4Address("198.51.100.254")), broadcast=False)
    wire, [(asked, _)] = _served(relayed)
    assert (str(asked.server), wire.sent[0][2]) == ("192.0.2.1", "192.0.2.1")


def test_a_machine_with_two_cards_is_one_node_whichever_asks() -> None:
    other = Mac("52:54:00:00:00:02")
    both = node(macs=(MAC, other), spec=replace(SPEC, macs=(MAC, other)))
    known = fleet(both)
    assert known.by_mac[MAC] is known.by_mac[other]
    reserved = fleet(
        replace(both, spec=replace(SPEC, macs=(MAC, other), address=IPv4Address("198.51.100.7")))
    )
    second_card = replace(DISCOVER, hardware_address=bytes.fromhex(other.replace(":", "")))
    assert fitting((LAN, SECOND), second_card, reserved) == SECOND.ip
