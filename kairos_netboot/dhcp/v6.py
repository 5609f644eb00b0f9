"""DHCPv6's messages (RFC 8415), and what relays wrap around them, to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address

from ..errors import MalformedPacket

_OPTION = struct.Struct("!HH")
_RELAY_HEADER = 2 + 16 + 16  # kind and hops, link-address, peer-address
# HOP_COUNT_LIMIT; relays throw away what has come through more of them.
_MOST_RELAYS = 8

# An option may come several times, so this is no mapping.
Options = tuple[tuple[int, bytes], ...]


class Kind(IntEnum):
    """Message types."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    RECONFIGURE = 10
    INFORMATION_REQUEST = 11
    RELAY_FORWARD = 12
    RELAY_REPLY = 13


class Option6(IntEnum):
    """The options netboot speaks. IANA's names."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_ADDRESS = 5
    OPTION_REQUEST = 6
    ELAPSED_TIME = 8
    RELAY_MESSAGE = 9
    STATUS_CODE = 13
    USER_CLASS = 15
    VENDOR_CLASS = 16
    INTERFACE_ID = 18
    BOOT_FILE_URL = 59
    BOOT_FILE_PARAM = 60
    CLIENT_ARCHITECTURE = 61
    NETWORK_INTERFACE = 62  # NII
    CLIENT_LINK_LAYER = 79  # a relay's (RFC 6939)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Between a client and a server. `kind` is a number, as there are more than Kind knows."""

    kind: int
    xid: int
    options: Options = ()

    def first(self, code: int) -> bytes | None:
        return next((value for each, value in self.options if each == code), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """A relay agent's envelope, RELAY_FORWARD or RELAY_REPLY. `link` tells the client's link,
    `peer` is who the relay had it from."""

    kind: int
    hops: int
    link: IPv6Address
    peer: IPv6Address
    options: Options = ()

    def first(self, code: int) -> bytes | None:
        return next((value for each, value in self.options if each == code), None)


def decode(data: bytes) -> Message | Relayed:
    """Parse one datagram, or raise MalformedPacket; no other exception escapes."""
    if len(data) < 4:
        raise MalformedPacket(f"{len(data)} bytes are too few for a DHCPv6 message")
    if data[0] not in (Kind.RELAY_FORWARD, Kind.RELAY_REPLY):
        xid = int.from_bytes(data[1:4], "big")
        return Message(kind=data[0], xid=xid, options=decode_options(data[4:]))
    if len(data) < _RELAY_HEADER:
        raise MalformedPacket(f"{len(data)} bytes are too few for a relayed DHCPv6 message")
    return Relayed(
        kind=data[0],
        hops=data[1],
        link=IPv6Address(data[2:18]),
        peer=IPv6Address(data[18:34]),
        options=decode_options(data[34:]),
    )


def decode_options(data: bytes) -> Options:
    """Read one list of options; raises MalformedPacket for one that runs over the end."""
    options: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if at + _OPTION.size > len(data):
            raise MalformedPacket("a DHCPv6 option's header runs over the end")
        code, length = _OPTION.unpack_from(data, at)
        end = at + _OPTION.size + length
        if end > len(data):
            raise MalformedPacket(f"DHCPv6 option {code} runs over the end")
        options.append((code, data[at + _OPTION.size : end]))
        at = end
    return tuple(options)


def encode(packet: Message | Relayed) -> bytes:
    """The datagram; raises MalformedPacket where an option is longer than its length can say."""
    if isinstance(packet, Message):
        header = bytes((packet.kind,)) + packet.xid.to_bytes(3, "big")
    else:
        header = bytes((packet.kind, packet.hops)) + packet.link.packed + packet.peer.packed
    return header + encode_options(packet.options)


def encode_options(options: Iterable[tuple[int, bytes]]) -> bytes:
    parts = bytearray()
    for code, value in options:
        if len(value) > 0xFFFF:
            raise MalformedPacket(f"DHCPv6 option {code} would have {len(value)} bytes")
        parts += _OPTION.pack(code, len(value)) + value
    return bytes(parts)


def unwrap(packet: Message | Relayed) -> tuple[Message, tuple[Relayed, ...]]:
    """A client's message, and the relays it came through, the nearest to us first."""
    relays: list[Relayed] = []
    while isinstance(packet, Relayed):
        inner = packet.first(Option6.RELAY_MESSAGE)
        if packet.kind != Kind.RELAY_FORWARD or inner is None:
            raise MalformedPacket("a relay's DHCPv6 message without a client's in it")
        if len(relays) == _MOST_RELAYS:
            raise MalformedPacket(f"a DHCPv6 message through more than {_MOST_RELAYS} relays")
        relays.append(packet)
        packet = decode(inner)
    return packet, tuple(relays)


def wrap(reply: Message, relays: Iterable[Relayed]) -> Message | Relayed:
    """The answer on its way back through the same relays (RFC 8415, section 19.3)."""
    packet: Message | Relayed = reply
    for relay in reversed(tuple(relays)):
        port = relay.first(Option6.INTERFACE_ID)
        echoed = ((int(Option6.INTERFACE_ID), port),) if port is not None else ()
        packet = Relayed(
            kind=Kind.RELAY_REPLY,
            hops=relay.hops,
            link=relay.link,
            peer=relay.peer,
            options=(*echoed, (int(Option6.RELAY_MESSAGE), encode(packet))),
        )
    return packet
