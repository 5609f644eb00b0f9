"""The machine behind an address, from the kernel's own table: for requests that don't say."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..errors import InvalidValue
from ..values import Mac

# linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
_HEADER = struct.Struct("@IHHII")  # length, type, flags, sequence, port
_NEIGHBOUR = struct.Struct("@B3xiHBB")  # family, interface, state, flags, type
_ATTRIBUTE = struct.Struct("@HH")  # length, type
_GET, _NEW, _DONE, _ERROR = 30, 28, 3, 2
_REQUEST_DUMP = 0x1 | 0x300
_DESTINATION, _LINK_ADDRESS = 1, 2
_UNKNOWN_STATES = 0x01 | 0x20 | 0x40  # incomplete, failed, no ARP (multicast and the like)
_PATIENCE = 1.0

Address = IPv4Address | IPv6Address


def mac_at(address: str, interface: str = "") -> Mac | None:
    """The card that answers to an address on this machine's own networks; None where the kernel
    has not spoken with it, and for whatever is behind a router."""
    wanted = ip_address(address.partition("%")[0])
    try:
        index = socket.if_nametoindex(interface) if interface else 0
        for found, mac, on in _table(socket.AF_INET6 if wanted.version == 6 else socket.AF_INET):
            if found == wanted and index in (0, on):
                return mac
    except OSError:
        return None
    return None


def _table(family: int) -> Iterator[tuple[Address, Mac, int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as sock:
        sock.settimeout(_PATIENCE)
        sock.bind((0, 0))
        asked = _NEIGHBOUR.pack(family, 0, 0, 0, 0)
        sock.send(_HEADER.pack(_HEADER.size + len(asked), _GET, _REQUEST_DUMP, 1, 0) + asked)
        while True:
            data = sock.recv(1 << 16)
            yield from read_table(data)
            if is_last(data):
                return


def read_table(data: bytes) -> Iterator[tuple[Address, Mac, int]]:
    """Address, card and interface of each entry in a netlink datagram."""
    for kind, body in _messages(data):
        if kind != _NEW or len(body) < _NEIGHBOUR.size:
            continue
        _, interface, state, _, _ = _NEIGHBOUR.unpack_from(body)
        attributes = dict(_attributes(body[_NEIGHBOUR.size :]))
        raw, card = attributes.get(_DESTINATION, b""), attributes.get(_LINK_ADDRESS, b"")
        if state & _UNKNOWN_STATES or len(raw) not in (4, 16):
            continue
        try:
            mac = Mac.from_bytes(card)
        except InvalidValue:  # an interface that is no Ethernet
            continue
        yield ip_address(raw), mac, interface


def is_last(data: bytes) -> bool:
    return any(kind in (_DONE, _ERROR) for kind, _ in _messages(data))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[-(-length // 4) * 4 :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[-(-length // 4) * 4 :]
