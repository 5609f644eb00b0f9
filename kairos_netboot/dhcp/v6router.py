"""What a router advertises (RFC 4861, section 4.2), and the addresses hosts make of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from ..errors import MalformedPacket
from ..values import Mac

ROUTER_ADVERTISEMENT = 134
# Type, code and a checksum that the kernel computes; a router need not know who asks.
SOLICITATION = bytes((133, 0, 0, 0, 0, 0, 0, 0))

_HEADER = struct.Struct("!BBHBBHII")
_PREFIX = struct.Struct("!BBII4x16s")  # what follows type and length of option 3
_PREFIX_INFORMATION = 3
_MANAGED = 0x80
_AUTONOMOUS = 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """A prefix that hosts may make addresses in by themselves. Lifetimes in seconds."""

    network: IPv6Network
    preferred: int
    valid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """`managed`: addresses are given out by DHCPv6 (flag M)."""

    managed: bool
    prefixes: tuple[Prefix, ...] = ()


def decode_advertisement(data: bytes) -> Advertisement:
    """Read an ICMPv6 message, or raise MalformedPacket; no other exception escapes."""
    if len(data) < _HEADER.size or data[0] != ROUTER_ADVERTISEMENT:
        raise MalformedPacket("no router advertisement")
    prefixes: list[Prefix] = []
    at = _HEADER.size
    while at < len(data):
        if at + 2 > len(data) or data[at + 1] == 0 or at + 8 * data[at + 1] > len(data):
            raise MalformedPacket("an option of a router advertisement runs over its end")
        size = 8 * data[at + 1]
        if data[at] == _PREFIX_INFORMATION and size == 32:
            prefixes += _autonomous(data[at + 2 : at + size])
        at += size
    return Advertisement(managed=bool(data[5] & _MANAGED), prefixes=tuple(prefixes))


def _autonomous(option: bytes) -> list[Prefix]:
    length, flags, valid, preferred, raw = _PREFIX.unpack(option)
    # An interface identifier has 64 bits, so that only half an address is left for the prefix.
    if not flags & _AUTONOMOUS or length != 64 or not preferred or preferred > valid:
        return []
    network = IPv6Network((raw[:8] + bytes(8), 64))
    if network.is_link_local or network.is_multicast:
        return []
    return [Prefix(network=network, preferred=preferred, valid=valid)]


def address_in(network: IPv6Network, mac: Mac) -> IPv6Address:
    """The address that a card gives itself in a prefix (RFC 4862, modified EUI-64)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return IPv6Address(network.network_address.packed[:8] + identifier)


def mac_in(address: IPv6Address) -> Mac | None:
    """The card that made this address; None where it is made in another way."""
    raw = address.packed[8:]
    if raw[3:5] != b"\xff\xfe" or raw[0] & 1:  # no card has a group's address
        return None
    return Mac.from_bytes(bytes((raw[0] ^ 2,)) + raw[1:3] + raw[5:])
