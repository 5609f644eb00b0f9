"""What is fuzzed: every parser of what comes from the network, each behind one function.

A target takes any bytes and raises nothing; a codec's own refusal is no finding. Where a parser
has its inverse, what was read must be written and read again as the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from kairos_netboot.config.resources import load_recipes
from kairos_netboot.dhcp import packet, v6
from kairos_netboot.dhcp.answer import Service, answer_type, reply_for
from kairos_netboot.dhcp.client import describe_options, recognise
from kairos_netboot.dhcp.options import decode_options, encode_into, encode_options
from kairos_netboot.dhcp.relayed import identifier_of, link_of
from kairos_netboot.dhcp.v6client import identify, is_netboot, recognise6
from kairos_netboot.errors import MalformedPacket
from kairos_netboot.server.syslog_line import read_line
from kairos_netboot.tftp import packet as tftp

_SERVER = IPv4Address("192.0.2.2")
_ROOM = 65507
_RECIPES = load_recipes()
_HEADER = packet.encode(packet.Packet(op=packet.Op.REQUEST, xid=7, hardware_address=b"RT\0\0\0\1"))[
    :240
]


def dhcp(data: bytes) -> None:
    """A whole DHCP message."""
    with contextlib.suppress(MalformedPacket):
        read = packet.decode(data)
        # 64 bytes of sname without a zero at their end are read, but never written.
        if len(read.server_name) < 64 and len(read.boot_file) < 128:
            assert packet.decode(packet.encode(read, room=_ROOM)) == read


def options(data: bytes) -> None:
    """One field of options; the first two bytes are how much room there is for writing them."""
    with contextlib.suppress(MalformedPacket):
        read = decode_options(data[2:])
        assert decode_options(encode_options(read)) == read
        joined: dict[int, bytes] = {}
        for field in encode_into(read, [1 + 2 * byte for byte in data[:2]]):
            for code, value in decode_options(field).items():
                joined[code] = joined.get(code, b"") + value
        assert joined == read


def recognised(data: bytes) -> None:
    """Options of a request, up to our answer on either port."""
    with contextlib.suppress(MalformedPacket):
        request = packet.decode(_HEADER + data)
        assert len(describe_options(request)) <= 600
        assert int(link_of(request, _SERVER))
        assert identifier_of(request, _SERVER) is not None
        client = recognise(request)
        rule = _RECIPES.rule_for(client) if client else None
        for service in Service:
            kind = answer_type(request, service)
            if rule is not None and kind is not None:
                _answer(request, kind, rule.recipe)


def _answer(request: packet.Packet, kind: packet.MessageType, recipe: str) -> None:
    reply = reply_for(
        request,
        kind,
        boot_file="52-54-00-00-00-01/file",
        recipe=_RECIPES.named(recipe),
        server=_SERVER,
        source=("0.0.0.0", 68),
    )
    room = packet.room_for(request)
    assert len(packet.encode(reply.packet, room=room)) <= room


def tftp_packet(data: bytes) -> None:
    """A TFTP datagram."""
    with contextlib.suppress(MalformedPacket):
        read = tftp.decode(data)
        assert tftp.decode(tftp.encode(read)) == read


def dhcp6(data: bytes) -> None:
    """A DHCPv6 message, relayed or not, and who sent it."""
    with contextlib.suppress(MalformedPacket):
        read = v6.decode(data)
        assert v6.decode(v6.encode(read)) == read
        message, relays = v6.unwrap(read)
        identity = identify(message, relays, IPv6Address("fe80::5054:ff:fe00:1"))
        assert is_netboot(message) in (True, False)
        if identity.mac is not None:
            recognise6(message, identity.mac)


def syslog(data: bytes) -> None:
    """A syslog message; nothing is refused."""
    read = read_line(data)
    for text in (read.text, read.host, read.app):
        assert text.isprintable()
        assert len(text) <= 1000


TARGETS: dict[str, Callable[[bytes], None]] = {
    "dhcp": dhcp,
    "options": options,
    "recognised": recognised,
    "tftp": tftp_packet,
    "dhcp6": dhcp6,
    "syslog": syslog,
}
