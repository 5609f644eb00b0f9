"""The TFTP datagrams of RFC 1350 and RFC 2347, to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from ..errors import MalformedPacket

# RFC 2347: "The maximum size of a request packet is 512 octets."
_LARGEST_REQUEST = 512
_NUMBERED = struct.Struct("!HH")  # opcode and block number, or opcode and error code


class Opcode(IntEnum):
    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class ErrorCode(IntEnum):
    UNDEFINED = 0
    FILE_NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TRANSFER = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTION_REFUSED = 8  # RFC 2347


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """`name` has `/` between its parts and none in front; mode and option names are lower-case."""

    name: str
    mode: str = "octet"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest(_Request):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest(_Request):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    block: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPacket:
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionAck:
    options: Mapping[str, str]


Request = ReadRequest | WriteRequest
Packet = Request | Data | Ack | ErrorPacket | OptionAck


def decode(data: bytes) -> Packet:
    """Parse one datagram, or raise MalformedPacket; no other exception escapes."""
    if len(data) < 4:
        raise MalformedPacket(f"a TFTP packet has 4 bytes or more, not {len(data)}")
    opcode, number = _NUMBERED.unpack_from(data)
    match opcode:
        case Opcode.ACK:
            return Ack(block=number)  # bytes behind it are padding: some ROMs send them
        case Opcode.DATA:
            return Data(block=number, payload=data[4:])
        case Opcode.ERROR:
            # The text's final NUL is missing often enough; nothing depends on it.
            return ErrorPacket(code=number, message=_text(data[4:].partition(b"\0")[0]))
        case Opcode.RRQ | Opcode.WRQ:
            return _request(Opcode(opcode), data)
        case Opcode.OACK:
            return OptionAck(options=_options(_fields(data[2:])))
    raise MalformedPacket(f"TFTP has no operation {opcode}")


def encode(packet: Packet) -> bytes:
    match packet:
        case ReadRequest():
            return _encode_request(Opcode.RRQ, packet)
        case WriteRequest():
            return _encode_request(Opcode.WRQ, packet)
        case Data():
            return data_packet(packet.block, packet.payload)
        case Ack():
            return _NUMBERED.pack(Opcode.ACK, packet.block)
        case ErrorPacket():
            return _NUMBERED.pack(Opcode.ERROR, packet.code) + _joined([packet.message])
        case OptionAck():
            return struct.pack("!H", Opcode.OACK) + _joined(_flat(packet.options))


def data_packet(block: int, payload: bytes | memoryview) -> bytes:
    """`encode(Data(…))` without the value in between: a transfer sends thousands."""
    return _NUMBERED.pack(Opcode.DATA, block) + payload


def _request(opcode: Opcode, data: bytes) -> Request:
    if len(data) > _LARGEST_REQUEST:
        raise MalformedPacket(f"a TFTP request has at most 512 bytes, not {len(data)}")
    fields = _fields(data[2:])
    if len(fields) < 2:
        raise MalformedPacket("a TFTP request without a transfer mode")
    name = _text(fields[0]).replace("\\", "/").lstrip("/")  # Windows' boot programs ask \boot\x
    mode, options = _text(fields[1]).lower(), _options(fields[2:])
    if opcode is Opcode.RRQ:
        return ReadRequest(name=name, mode=mode, options=options)
    return WriteRequest(name=name, mode=mode, options=options)


def _fields(data: bytes) -> list[bytes]:
    """NUL-terminated texts; raises MalformedPacket where the last NUL is missing."""
    *fields, rest = data.split(b"\0")
    if rest:
        raise MalformedPacket("a TFTP text without its final NUL")
    return fields


def _options(fields: list[bytes]) -> dict[str, str]:
    """Pairs of name and value, names in lower case; what is no option is left out."""
    names = [_text(name).lower() for name in fields[::2]]
    values = [_text(value) for value in fields[1::2]]
    # RFC 2347: "An option may only be specified once." Which of two was meant, nobody knows, and
    # one that is not acknowledged is as good as never asked for. Empty names are padding.
    return {
        name: value
        for name, value in zip(names, values, strict=False)
        if name and names.count(name) == 1
    }


def _text(raw: bytes) -> str:
    """RFC 1350 wants ASCII; people's file names come as UTF-8 or, from old ROMs, as Latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _encode_request(opcode: Opcode, request: Request) -> bytes:
    fields = [request.name, request.mode, *_flat(request.options)]
    return struct.pack("!H", opcode) + _joined(fields)


def _flat(options: Mapping[str, str]) -> list[str]:
    return [text for option in options.items() for text in option]


def _joined(fields: Iterable[str]) -> bytes:
    return b"".join(text.encode() + b"\0" for text in fields)
