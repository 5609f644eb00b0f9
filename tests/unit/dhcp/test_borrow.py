from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from kairos_netboot.dhcp.borrow import accepts_ours, borrowed, is_offer_of_address
from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import MessageType, Op, Packet
from tests.unit.dhcp.lease_sample import CARD, SERVER, address, request

OFFER, ACK = MessageType.OFFER, MessageType.ACK
THEIRS = address(1)  # the site's DHCP server
SITES_OFFER = Packet(
    op=Op.REPLY,
    xid=0xABCD,
    hardware_address=CARD,
    your_address=address(77),
    next_server=THEIRS,
    boot_file=b"theirs.efi",
    options={
        Option.MESSAGE_TYPE: bytes([OFFER]),
        Option.SERVER_IDENTIFIER: THEIRS.packed,
        Option.LEASE_TIME: (86400).to_bytes(4, "big"),
        Option.RENEWAL_TIME: (43200).to_bytes(4, "big"),
        Option.SUBNET_MASK: bytes([255, 255, 255, 0]),
        Option.ROUTERS: address(254).packed,
        Option.DNS_SERVERS: address(53).packed,
        Option.DOMAIN_NAME: b"example.org",
        Option.BOOTFILE_NAME: b"theirs.efi",
    },
)


def test_the_sites_address_and_network_are_told_as_ours() -> None:
    asked = replace(request(MessageType.DISCOVER), flags=0x8000)
    reply = borrowed(asked, SITES_OFFER, OFFER, SERVER)
    assert reply.packet.your_address == address(77)
    assert reply.packet.options == {
        53: b"\x02",
        54: SERVER.packed,
        51: (600).to_bytes(4, "big"),
        1: bytes([255, 255, 255, 0]),
        3: address(254).packed,
        6: address(53).packed,
        15: b"example.org",
    }
    assert reply.destination == ("255.255.255.255", 68)


def test_the_sites_own_boot_files_are_not_passed_on() -> None:
    packet = borrowed(request(MessageType.DISCOVER), SITES_OFFER, OFFER, SERVER).packet
    assert (packet.boot_file, packet.next_server) == (b"", IPv4Address(0))


def test_the_acknowledgement_is_of_the_same_address() -> None:
    asked = request(MessageType.REQUEST, wants=address(77), chosen=SERVER, client=b"\x01me")
    packet = borrowed(asked, SITES_OFFER, ACK, SERVER).packet
    assert packet.message_type is ACK
    assert packet.your_address == address(77)
    assert packet.options[Option.CLIENT_IDENTIFIER] == b"\x01me"


@pytest.mark.parametrize(
    ("packet", "is_one"),
    [
        (SITES_OFFER, True),
        (replace(SITES_OFFER, your_address=IPv4Address(0)), False),
        (replace(SITES_OFFER, options={Option.MESSAGE_TYPE: bytes([ACK])}), False),
        (replace(SITES_OFFER, options={}), False),
    ],
    ids=["a lease's offer", "a proxy's", "an acknowledgement", "BOOTP"],
)
def test_only_the_offer_of_an_address_can_be_borrowed(packet: Packet, is_one: bool) -> None:
    assert is_offer_of_address(packet) is is_one


@pytest.mark.parametrize(
    ("packet", "is_ours"),
    [
        (request(MessageType.REQUEST, wants=address(77), chosen=SERVER), True),
        (request(MessageType.REQUEST, wants=address(77), chosen=THEIRS), False),
        (request(MessageType.REQUEST, wants=address(77)), False),
        (request(MessageType.REQUEST, has=address(77)), False),
        (request(MessageType.DISCOVER, chosen=SERVER), False),
    ],
    ids=["chose us", "chose the site's", "restarted", "renews", "a DISCOVER"],
)
def test_only_who_chose_us_is_answered(packet: Packet, is_ours: bool) -> None:
    assert accepts_ours(packet, SERVER) is is_ours
