"""Asking the kernel for one of its tables (rtnetlink(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_ERROR, _DONE = 2, 3
_REQUEST_ALL = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_LARGEST = 1 << 16
_PATIENCE = 1.0  # the kernel answers while it is asked; this is against a hang


def dump(kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Every (type, body) that a request brings; raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_PATIENCE)
        sock.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_ALL, 1, 0) + body)
        while True:
            for found, entry in messages(sock.recv(_LARGEST)):
                if found in (_DONE, _ERROR):
                    return
                yield found, entry


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each message in a datagram."""
    return _parts(_HEADER, data)


def attributes(data: bytes) -> dict[int, bytes]:
    """What follows a message's fixed part, by type."""
    return dict(_parts(_ATTRIBUTE, data))


def _parts(header: struct.Struct, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Both kinds begin with their length and their type, and at a multiple of four."""
    at = 0
    while at + header.size <= len(data):
        length, kind, *_ = header.unpack_from(data, at)
        if length < header.size:
            return
        yield kind, data[at + header.size : at + length]
        at += (length + 3) & ~3
