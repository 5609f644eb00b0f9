"""DHCP options: the list of RFC 2132, with long options split and joined as RFC 3396 says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from ..errors import MalformedPacket


class Option(IntEnum):
    """The options netboot speaks. IANA's names."""

    PAD = 0
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_IDENTIFIER = 54
    VENDOR_SPECIFIC = 43
    CLASS_IDENTIFIER = 60
    TFTP_SERVER_NAME = 66
    BOOTFILE_NAME = 67
    USER_CLASS = 77
    RELAY_AGENT = 82
    CLIENT_ARCHITECTURE = 93
    CLIENT_UUID = 97
    ETHERBOOT = 175
    END = 255


def decode_options(data: bytes) -> dict[int, bytes]:
    """Read one option field; an option that comes again continues the first (RFC 3396).

    A missing END is forgiven: old ROMs leave it out. Raises MalformedPacket for an option
    that runs over the end.
    """
    options: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        code = data[at]
        if code == Option.END:
            break
        if code == Option.PAD:
            at += 1
            continue
        if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
            raise MalformedPacket(f"DHCP option {code} runs over the end of its field")
        end = at + 2 + data[at + 1]
        options[code] = options.get(code, b"") + data[at + 2 : end]
        at = end
    return options


def encode_options(options: Mapping[int, bytes]) -> bytes:
    """Write options in the mapping's order, END included."""
    parts = bytearray()
    for code, value in options.items():
        pieces = [value[i : i + 255] for i in range(0, len(value), 255)] or [b""]
        for piece in pieces:
            parts += bytes((code, len(piece))) + piece
    parts.append(Option.END)
    return bytes(parts)
