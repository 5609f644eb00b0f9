"""The DHCP message of RFC 2131, to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address

from ..errors import InvalidValue, MalformedPacket
from ..values import Mac
from .options import Option, decode_options, encode_options

#  op htype hlen hops | xid | secs flags | ciaddr yiaddr siaddr giaddr | chaddr sname file
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
# RFC 951: 300 bytes is the smallest BOOTP message; some relays and ROMs drop shorter ones.
_SMALLEST = 300
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
    if len(data) < _HEADER.size + len(_COOKIE):
        raise MalformedPacket(f"{len(data)} bytes are too few for a DHCP message")
    op, htype, hlen, hops, xid, secs, flags, *rest = _HEADER.unpack_from(data)
    ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file = rest
    if op not in (Op.REQUEST, Op.REPLY):
        raise MalformedPacket(f"op {op} is neither a request nor a reply")
    if hlen > 16:
        raise MalformedPacket(f"a hardware address of {hlen} bytes does not fit chaddr")
    if data[_HEADER.size : _HEADER.size + 4] != _COOKIE:
        raise MalformedPacket("no DHCP magic cookie")
    options, sname, file = _with_overload(decode_options(data[_HEADER.size + 4 :]), sname, file)
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
    """Read options out of `file` and `sname` where option 52 says so (RFC 2131, section 4.1)."""
    overload = options.pop(Option.OVERLOAD, b"\0")
    places = overload[0] if len(overload) == 1 else 0
    for bit, text in ((1, file), (2, sname)):
        if places & bit:
            for code, value in decode_options(text).items():
                options[code] = options.get(code, b"") + value
    return options, b"" if places & 2 else sname, b"" if places & 1 else file


def encode(packet: Packet) -> bytes:
    """The datagram; raises MalformedPacket where a field is too long for its place."""
    if len(packet.server_name) > 63 or len(packet.boot_file) > 127:
        raise MalformedPacket("sname holds 63 bytes and file 127: the name is too long")
    header = _HEADER.pack(
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
        packet.server_name,
        packet.boot_file,
    )
    return (header + _COOKIE + encode_options(packet.options)).ljust(_SMALLEST, b"\0")
