"""UDP over IPv4, to bytes and back: what a packet socket leaves to us (RFC 791, RFC 768)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa

from ..errors import MalformedPacket
from .udp import Endpoint

#  version/length tos total | id fragment | ttl protocol checksum | source destination
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")  # source, destination, length, checksum
_PSEUDO = struct.Struct("!4s4sBBH")
_PROTOCOL = 17
_TTL = 64  # RFC 1700
_FRAGMENT = 0x3FFF  # more fragments, or an offset


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpPacket:
    source: Endpoint
    destination: Endpoint
    data: bytes


def encode(packet: UdpPacket) -> bytes:
    """The IP packet with both checksums; raises MalformedPacket where it would be too long."""
    source, destination = inet_aton(packet.source[0]), inet_aton(packet.destination[0])
    length = _UDP.size + len(packet.data)
    if _IP.size + length > 0xFFFF:
        raise MalformedPacket(f"{len(packet.data)} bytes do not fit one IP packet")
    ports = packet.source[1], packet.destination[1]
    bare = _UDP.pack(*ports, length, 0) + packet.data
    checksum = _checksum(_PSEUDO.pack(source, destination, 0, _PROTOCOL, length) + bare)
    udp = _UDP.pack(*ports, length, checksum) + packet.data
    header = (0x45, 0, _IP.size + length, 0, 0, _TTL, _PROTOCOL)
    head = _IP.pack(*header, 0, source, destination)
    return _IP.pack(*header, _checksum(head) % 0xFFFF, source, destination) + udp


def decode(data: bytes, *, trusted: bool = False) -> UdpPacket:
    """Parse one whole IP packet, or raise MalformedPacket; no other exception escapes.

    `trusted`: the kernel vouches for the UDP checksum, or has left it to a card that never saw
    the packet. What follows the packet is Ethernet's padding.
    """
    if len(data) < _IP.size:
        raise MalformedPacket(f"{len(data)} bytes are too few for an IP packet")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(data)
    start = (first & 15) * 4
    if first >> 4 != 4 or start < _IP.size or not start + _UDP.size <= total <= len(data):
        raise MalformedPacket("no IPv4 packet: its header contradicts its length")
    if protocol != _PROTOCOL or fragment & _FRAGMENT:
        raise MalformedPacket("no whole UDP datagram")
    if int.from_bytes(data[:start], "big") % 0xFFFF:
        raise MalformedPacket("the checksum of an IP header is wrong")
    source_port, destination_port, length, checksum = _UDP.unpack_from(data, start)
    if not _UDP.size <= length <= total - start:
        raise MalformedPacket("a UDP length contradicts its packet")
    pseudo = _PSEUDO.pack(source, destination, 0, _PROTOCOL, length)
    if not trusted and not _is_right(checksum, pseudo, data[start : start + length]):
        raise MalformedPacket("the checksum of a UDP datagram is wrong")
    return UdpPacket(
        source=(inet_ntoa(source), source_port),
        destination=(inet_ntoa(destination), destination_port),
        data=data[start + _UDP.size : start + length],
    )


def _checksum(data: bytes) -> int:
    """The one's complement of the one's complement sum of 16-bit words (RFC 1071): that sum is
    the remainder by 65535. Never 0, which would mean "none" in UDP."""
    padded = data + b"\0" * (len(data) % 2)
    return 0xFFFF - int.from_bytes(padded, "big") % 0xFFFF


def _is_right(checksum: int, pseudo: bytes, datagram: bytes) -> bool:
    if checksum == 0:  # RFC 768: the sender made none
        return True
    if _checksum(pseudo + datagram) == 0xFFFF:
        return True
    # Packets between virtual machines and containers of one host often bear the sum of the
    # pseudo header alone: their card was to add the rest.
    return checksum == int.from_bytes(pseudo, "big") % 0xFFFF
