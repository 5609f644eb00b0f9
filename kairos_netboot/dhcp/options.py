"""DHCP options: the list of RFC 2132, with long options split and joined as RFC 3396 says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

from ..errors import MalformedPacket
from ..values import printable

_LONGEST = 255  # what a length byte can say


class Option(IntEnum):
    """The options netboot speaks. IANA's names."""

    PAD = 0
    SUBNET_MASK = 1
    ROUTERS = 3
    DNS_SERVERS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    INTERFACE_MTU = 26
    BROADCAST_ADDRESS = 28
    NTP_SERVERS = 42
    VENDOR_SPECIFIC = 43
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_IDENTIFIER = 54
    PARAMETERS = 55
    MAXIMUM_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    CLASS_IDENTIFIER = 60
    CLIENT_IDENTIFIER = 61
    TFTP_SERVER_NAME = 66
    BOOTFILE_NAME = 67
    USER_CLASS = 77
    RELAY_AGENT = 82
    CLIENT_ARCHITECTURE = 93
    CLIENT_UUID = 97
    CLASSLESS_ROUTES = 121
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
    """Write options in the mapping's order, END included; raises MalformedPacket for a code that
    no option can have."""
    return b"".join(encode_option(code, value) for code, value in options.items()) + b"\xff"


def encode_option(code: int, value: bytes) -> bytes:
    """One option, in several pieces where it is longer than its length byte can say."""
    if not Option.PAD < code < Option.END:
        raise MalformedPacket(f"no DHCP option has the code {code}")
    return b"".join(bytes((code, len(piece))) + piece for piece in _pieces(value))


def _pieces(value: bytes) -> Iterator[bytes]:
    yield value[:_LONGEST]
    for start in range(_LONGEST, len(value), _LONGEST):
        yield value[start : start + _LONGEST]


def encode_into(options: Mapping[int, bytes], places: list[int]) -> list[bytes]:
    """Lay options out over several fields of at most `places` bytes each, END included.

    An option goes whole into the first field that holds it; only where none does it is split,
    and its parts keep the fields' order (RFC 3396, section 5). Raises MalformedPacket for what
    does not fit.
    """
    fields = [bytearray() for _ in places]
    left = [size - 1 for size in places]  # END
    for code, value in options.items():
        parts = _lay(encode_option(code, value), left) or _split(code, value, left)
        for at, part in parts:
            fields[at] += part
            left[at] -= len(part)
    return [bytes(field) + b"\xff" for field in fields]


def _lay(encoded: bytes, left: list[int]) -> list[tuple[int, bytes]]:
    return next(([(at, encoded)] for at, room in enumerate(left) if len(encoded) <= room), [])


def _split(code: int, value: bytes, left: list[int]) -> list[tuple[int, bytes]]:
    parts = []
    for at, room in enumerate(left):
        while value and room > 2:
            length = min(len(value), room - 2, _LONGEST)
            parts.append((at, encode_option(code, value[:length])))
            value, room = value[length:], room - length - 2
    if value or not parts:
        raise MalformedPacket(f"DHCP option {code} finds no room in the message")
    return parts


_TEXTS = frozenset({Option.HOST_NAME, 15, Option.CLASS_IDENTIFIER, 66, 67, Option.USER_CLASS})


def describe_options(options: Mapping[int, bytes]) -> str:
    """`53=01 60="PXEClient" 93=0007`: printable and bounded, for what is recorded of a request."""
    return printable(" ".join(_described(code, value) for code, value in options.items()), 600)


def _described(code: int, value: bytes) -> str:
    is_text = code in _TEXTS and value.isascii() and value.decode("ascii").isprintable()
    if not is_text:
        return f"{code}={value[:32].hex()}" + ("…" if len(value) > 32 else "")
    text = value.decode("ascii").replace('"', "'")
    return f'{code}="{text[:64]}"' + ("…" if len(text) > 64 else "")
