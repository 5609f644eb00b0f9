"""The DHCP message of RFC 2131, to bytes and back."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from ipaddress import IPv4Address

from ..errors import InvalidValue, MalformedPacket
from ..values import Mac
from .options import Option, decode_options, encode_into, encode_option, encode_options

#  op htype hlen hops | xid | secs flags | ciaddr yiaddr siaddr giaddr | chaddr sname file
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
# RFC 951: 300 bytes is the smallest BOOTP message; some relays and ROMs drop shorter ones.
_SMALLEST = 300
_FIXED = _HEADER.size + len(_COOKIE)
# What goes over an Ethernet in one piece: a boot ROM puts no fragments together.
LARGEST = 1500 - 20 - 8
# RFC 2131, section 2: a client takes a message "of up to 576 octets", IP and UDP headers included.
LEAST = 576 - 20 - 8
_FILE_BIT, _SNAME_BIT = 1, 2  # of option 52
_OVERLOAD_LENGTH = 3
_ANY = IPv4Address(0)


class Op(IntEnum):
    REQUEST = 1
    REPLY = 2


class MessageType(IntEnum):
    """Option 53."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    op: Op
    xid: int
    hardware_address: bytes  # chaddr, as long as hlen says
    hardware_type: int = 1
    hops: int = 0
    secs: int = 0
    flags: int = 0
    client_address: IPv4Address = _ANY  # ciaddr
    your_address: IPv4Address = _ANY  # yiaddr
    next_server: IPv4Address = _ANY  # siaddr
    relay: IPv4Address = _ANY  # giaddr
    server_name: bytes = b""  # sname, without its padding
    boot_file: bytes = b""  # file, without its padding
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def message_type(self) -> MessageType | None:
        """None for BOOTP, and for a type RFC 2131 does not know."""
        value = self.options.get(Option.MESSAGE_TYPE, b"")
        return MessageType(value[0]) if len(value) == 1 and 1 <= value[0] <= 8 else None

    @property
    def mac(self) -> Mac | None:
        """None where the client is no Ethernet device."""
        try:
            return Mac.from_bytes(self.hardware_address) if self.hardware_type == 1 else None
        except InvalidValue:
            return None


def decode(data: bytes) -> Packet:
    """Parse one datagram, or raise MalformedPacket; no other exception escapes."""
    if len(data) < _FIXED:
        raise MalformedPacket(f"{len(data)} bytes are too few for a DHCP message")
    op, htype, hlen, hops, xid, secs, flags, *rest = _HEADER.unpack_from(data)
    ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file = rest
    if op not in (Op.REQUEST, Op.REPLY):
        raise MalformedPacket(f"op {op} is neither a request nor a reply")
    if hlen > 16:
        raise MalformedPacket(f"a hardware address of {hlen} bytes does not fit chaddr")
    if data[_HEADER.size : _HEADER.size + 4] != _COOKIE:
        raise MalformedPacket("no DHCP magic cookie")
    options, sname, file = _with_overload(decode_options(data[_FIXED:]), sname, file)
    return Packet(
        op=Op(op),
        hardware_type=htype,
        hops=hops,
        xid=xid,
        secs=secs,
        flags=flags,
        client_address=IPv4Address(ciaddr),
        your_address=IPv4Address(yiaddr),
        next_server=IPv4Address(siaddr),
        relay=IPv4Address(giaddr),
        hardware_address=chaddr[:hlen],
        server_name=sname.split(b"\0", 1)[0],
        boot_file=file.split(b"\0", 1)[0],
        options=options,
    )


def _with_overload(
    options: dict[int, bytes], sname: bytes, file: bytes
) -> tuple[dict[int, bytes], bytes, bytes]:
    """Read options out of `file` and `sname` where option 52 says so (RFC 2131, section 4.1).

    An option in several places is one option: its parts are joined in this order (RFC 3396,
    section 5).
    """
    overload = options.pop(Option.OVERLOAD, b"\0")
    places = overload[0] if len(overload) == 1 else 0
    for bit, text in ((_FILE_BIT, file), (_SNAME_BIT, sname)):
        if places & bit:
            for code, value in decode_options(text).items():
                options[code] = options.get(code, b"") + value
    options.pop(Option.OVERLOAD, None)  # in those fields it means nothing
    return options, b"" if places & _SNAME_BIT else sname, b"" if places & _FILE_BIT else file


def room_for(request: Packet) -> int:
    """The longest message that the sender of `request` takes, in bytes of UDP payload.

    Option 57 counts the IP datagram by RFC 2131's reading (BIOS ROMs' 1260, U-Boot's 576) and the
    message alone by EDK2's and iPXE's (both send 1472): we go by the smaller.
    """
    stated = int.from_bytes(request.options.get(Option.MAXIMUM_SIZE, b""), "big")
    return min(max(stated - 28, LEAST), LARGEST)


def encode(packet: Packet, *, room: int = LARGEST) -> bytes:
    """The datagram, at most `room` bytes of it (see `room_for`).

    Options that find no room in their own field go on in `file` and `sname`: where these are
    empty, else once their names have moved to options 66 and 67. Raises MalformedPacket where a
    field is too long for its place, or all of it for `room`.
    """
    if len(packet.server_name) > 63 or len(packet.boot_file) > 127:
        raise MalformedPacket("sname holds 63 bytes and file 127: the name is too long")
    options = _without_overload(packet)
    plain = encode_options(options)
    if _FIXED + len(plain) <= room:
        return _joined(packet, packet.server_name, packet.boot_file, plain)
    for attempt in (packet, *_with_names_moved(packet)):
        with contextlib.suppress(MalformedPacket):
            return _joined(attempt, *_overloaded(attempt, room - _FIXED))
    raise MalformedPacket(f"an answer with {len(plain)} bytes of options is longer than {room}")


def _without_overload(packet: Packet) -> dict[int, bytes]:
    return {code: value for code, value in packet.options.items() if code != Option.OVERLOAD}


def _with_names_moved(packet: Packet) -> Iterator[Packet]:
    """RFC 2132, 9.4 and 9.5: the options for these names where their fields hold options."""
    options = {Option.TFTP_SERVER_NAME: packet.server_name, **packet.options}
    moved = replace(packet, server_name=b"", options=options) if packet.server_name else packet
    yield moved
    if packet.boot_file:
        options = {Option.BOOTFILE_NAME: packet.boot_file, **moved.options}
        yield replace(moved, boot_file=b"", options=options)


def _overloaded(packet: Packet, room: int) -> tuple[bytes, bytes, bytes]:
    """`sname`, `file` and the options' field of at most `room` bytes, options in all three."""
    options = _without_overload(packet)
    # RFC 3046, section 2.1: option 82 is the last; relays look for it in the options' field only.
    relay = {code: value for code, value in options.items() if code == Option.RELAY_AGENT}
    options = {code: value for code, value in options.items() if code not in relay}
    tail = encode_options(relay)
    places = ((_FILE_BIT, 128, packet.boot_file), (_SNAME_BIT, 64, packet.server_name))
    free = [(bit, size) for bit, size, text in places if not text]
    first = room - _OVERLOAD_LENGTH - len(tail) + 1
    fields = encode_into(options, [max(first, 1), *(size for _, size in free)])
    used = {bit: field for (bit, _), field in zip(free, fields[1:], strict=True) if field[:-1]}
    overload = encode_option(Option.OVERLOAD, bytes((sum(used),)))
    plain = fields[0][:-1] + overload + tail
    if not used or len(plain) > room:
        raise MalformedPacket("the options' field is too small")
    sname = used.get(_SNAME_BIT, packet.server_name)
    return sname, used.get(_FILE_BIT, packet.boot_file), plain


def _joined(packet: Packet, sname: bytes, file: bytes, options: bytes) -> bytes:
    return (_header(packet, sname, file) + _COOKIE + options).ljust(_SMALLEST, b"\0")


def _header(packet: Packet, sname: bytes, file: bytes) -> bytes:
    if len(packet.hardware_address) > 16:
        raise MalformedPacket("chaddr holds 16 bytes: the hardware address is too long")
    try:
        return _HEADER.pack(
            packet.op,
            packet.hardware_type,
            len(packet.hardware_address),
            packet.hops,
            packet.xid,
            packet.secs,
            packet.flags,
            packet.client_address.packed,
            packet.your_address.packed,
            packet.next_server.packed,
            packet.relay.packed,
            packet.hardware_address,
            sname,
            file,
        )
    except struct.error as error:
        raise MalformedPacket(f"a field of a DHCP message is too large: {error}") from error
