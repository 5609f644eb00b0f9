from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from kairos_netboot.dhcp.answer import Reply
from kairos_netboot.dhcp.lease_reply import Told, lease_reply
from kairos_netboot.dhcp.packet import MessageType, Op, Packet, decode, encode
from tests.unit.dhcp.lease_sample import CARD, SERVER, address, request

OFFER, ACK, NAK = MessageType.OFFER, MessageType.ACK, MessageType.NAK
ANY = IPv4Address(0)
TOLD = Told(
    network=IPv4Network("192.0.2.0/24"),
    seconds=3600,
    routers=(address(1),),
    dns=(address(53), address(54)),
    ntp=(address(123),),
    domain="rack.example.org",
    host_name="alpha",
    mtu=1400,
    routes={IPv4Network("10.20.0.0/15"): address(9)},
)
DISCOVER = request(MessageType.DISCOVER)


def reply(
    packet: Packet,
    kind: MessageType = OFFER,
    told: Told | None = TOLD,
    gives: IPv4Address | None = None,
) -> Reply:
    gives = gives or (ANY if kind is NAK else address(10))
    return lease_reply(packet, kind, address=gives, server=SERVER, told=told)


def asking(*codes: int, **changes: object) -> Packet:
    packet = replace(DISCOVER, **changes)  # type: ignore[arg-type]
    return replace(packet, options={**packet.options, 55: bytes(codes)} if codes else {})


def test_a_lease_says_what_there_is_to_say() -> None:
    assert reply(DISCOVER).packet.options == {
        53: b"\x02",
        54: SERVER.packed,
        51: (3600).to_bytes(4, "big"),
        58: (1800).to_bytes(4, "big"),
        59: (3150).to_bytes(4, "big"),
        1: bytes([255, 255, 255, 0]),
        28: address(255).packed,
        3: address(1).packed,
        6: address(53).packed + address(54).packed,
        42: address(123).packed,
        12: b"alpha",
        15: b"rack.example.org",
        26: b"\x05\x78",
        121: bytes([15, 10, 20]) + address(9).packed + b"\x00" + address(1).packed,
    }
    assert reply(DISCOVER).packet.your_address == address(10)


def test_a_client_is_told_what_it_asked_for_in_its_order() -> None:
    options = list(reply(asking(6, 3, 1, 250)).packet.options)
    assert options == [53, 54, 51, 58, 59, 1, 6, 3]


def test_the_times_and_the_mask_are_told_to_those_who_forgot_to_ask() -> None:
    assert {1, 51, 58, 59} <= reply(asking(3)).packet.options.keys()


def test_a_lease_without_end_is_not_renewed() -> None:
    told = replace(TOLD, seconds=0xFFFFFFFF)
    options = reply(DISCOVER, told=told).packet.options
    assert options[51] == b"\xff" * 4
    assert not {58, 59} & options.keys()


def test_inform_is_told_no_time_and_given_no_address() -> None:
    packet = request(MessageType.INFORM, has=address(77))
    answer = reply(packet, ACK, replace(TOLD, seconds=None), gives=ANY)
    assert answer.packet.your_address == ANY
    assert not {51, 58, 59} & answer.packet.options.keys()
    assert answer.destination == (str(address(77)), 68)


def test_a_refusal_says_nothing_but_who_refuses() -> None:
    packet = request(MessageType.REQUEST, client=b"\x01me", wants=address(10))
    answer = reply(packet, NAK, None)
    assert answer.packet.options == {53: b"\x06", 54: SERVER.packed, 61: b"\x01me"}


def test_a_clients_identifier_comes_back() -> None:
    """RFC 6842: two clients behind one card tell their answers apart by it."""
    options = reply(request(MessageType.DISCOVER, client=b"\x01me")).packet.options
    assert options[61] == b"\x01me"


def test_what_a_relay_added_comes_back_last() -> None:
    packet = replace(DISCOVER, relay=address(254), options={82: b"\1\1a", **DISCOVER.options})
    assert list(reply(packet).packet.options)[-1] == 82
    assert list(decode(encode(reply(packet).packet)).options.items())[-1] == (82, b"\1\1a")


def test_the_subnet_that_was_selected_comes_back() -> None:
    """RFC 3011: so that who asks knows that it was understood."""
    packet = replace(DISCOVER, options={**DISCOVER.options, 118: bytes([10, 0, 0, 0])})
    assert reply(packet).packet.options[118] == bytes([10, 0, 0, 0])


@pytest.mark.parametrize(
    ("network", "packed"),
    [
        ("0.0.0.0/0", "00"),
        ("10.0.0.0/8", "080a"),
        ("10.17.0.0/16", "100a11"),
        ("10.27.129.0/24", "180a1b81"),
        ("10.229.0.128/25", "190ae50080"),
        ("10.198.122.47/32", "200ac67a2f"),
    ],
)
def test_routes_are_as_short_as_rfc_3442_has_them(network: str, packed: str) -> None:
    told = Told(network=TOLD.network, seconds=60, routes={IPv4Network(network): address(9)})
    found = reply(DISCOVER, told=told).packet.options[121]
    assert found == bytes.fromhex(packed) + address(9).packed


def test_the_default_route_is_among_the_routes() -> None:
    """Who reads option 121 must not read option 3."""
    said = reply(DISCOVER).packet.options[121]
    assert said.endswith(b"\x00" + address(1).packed)


def test_without_routes_there_is_no_option_121() -> None:
    assert 121 not in reply(DISCOVER, told=replace(TOLD, routes={})).packet.options


# Where to (RFC 2131, 4.1)


def test_a_client_without_an_address_is_answered_at_its_card() -> None:
    assert reply(DISCOVER).destination == (str(address(10)), 68)
    assert reply(DISCOVER).hardware == CARD


def test_a_client_that_wants_a_broadcast_gets_one() -> None:
    answer = reply(replace(DISCOVER, flags=0x8000))
    assert (answer.destination, answer.hardware) == (("255.255.255.255", 68), b"")
    assert answer.packet.flags == 0x8000


@pytest.mark.parametrize("changes", [{"hardware_type": 6}, {"hardware_address": b"\1\2"}])
def test_what_is_no_ethernet_card_is_answered_by_broadcast(changes: dict[str, object]) -> None:
    answer = reply(replace(DISCOVER, **changes))  # type: ignore[arg-type]
    assert (answer.destination, answer.hardware) == (("255.255.255.255", 68), b"")


def test_an_inform_that_does_not_say_its_address_is_answered_by_broadcast() -> None:
    answer = reply(request(MessageType.INFORM), ACK, replace(TOLD, seconds=None), gives=ANY)
    assert answer.destination == ("255.255.255.255", 68)


def test_a_renewal_is_answered_at_the_clients_address() -> None:
    answer = reply(request(MessageType.REQUEST, has=address(10)), ACK)
    assert (answer.destination, answer.hardware) == ((str(address(10)), 68), b"")
    assert answer.packet.client_address == address(10)


def test_a_refusal_is_broadcast() -> None:
    """The client's address may be wrong here."""
    answer = reply(request(MessageType.REQUEST, has=address(10)), NAK, None)
    assert (answer.destination, answer.hardware) == (("255.255.255.255", 68), b"")
    assert answer.packet.client_address == ANY


@pytest.mark.parametrize("kind", [OFFER, ACK, NAK])
def test_a_relay_is_answered_on_its_servers_port(kind: MessageType) -> None:
    packet = replace(request(MessageType.REQUEST, has=address(10)), relay=address(254))
    answer = reply(packet, kind, None if kind is NAK else TOLD)
    assert (answer.destination, answer.hardware) == ((str(address(254)), 67), b"")
    assert answer.packet.relay == address(254)


def test_a_relay_is_told_to_broadcast_a_refusal() -> None:
    packet = replace(request(MessageType.REQUEST, has=address(10)), relay=address(254))
    assert reply(packet, NAK, None).packet.flags == 0x8000
    assert reply(packet, ACK).packet.flags == 0


def test_scapy_reads_the_answer() -> None:
    from scapy.layers.dhcp import BOOTP, DHCP

    answer = BOOTP(encode(reply(DISCOVER).packet))
    told = {option[0]: option[1:] for option in answer[DHCP].options if isinstance(option, tuple)}
    assert answer.yiaddr == str(address(10))
    assert answer.op == Op.REPLY
    assert told["lease_time"] == (3600,)
    assert told["router"] == (str(address(1)),)
    assert told["name_server"] == (str(address(53)), str(address(54)))
    assert told["domain"] == (b"rack.example.org",)
