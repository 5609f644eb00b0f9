"""Who else answers DHCP on a network: asked with a DISCOVER of a machine that does not exist."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..dhcp import packet
from ..dhcp.options import Option
from ..dhcp.packet import MessageType, Op, Packet
from ..errors import CannotServe, MalformedPacket
from ..values import printable
from . import ipv4
from .addresses import Addresses
from .raw import EVERYONE, Frames, RawWire

_SECONDS = 2.0  # dnsmasq answers at once; ISC and Kea after a ping, within a second
_BROADCAST_FLAG = 0x8000
_LOCAL_BIT = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """`offer`: what it offers, in words."""

    address: IPv4Address
    offers_address: bool
    boot_file: str
    offer: str


async def find_rivals(interface: str, seconds: float = _SECONDS) -> tuple[Rival, ...]:
    """All servers but this host's own that answer on an interface, those for network boot as well.
    Raises CannotServe without the right for packet sockets."""
    addresses = Addresses()
    try:
        frames = Frames()
    except OSError as error:
        raise CannotServe(f"asking {interface} for DHCP servers needs root: {error}") from None
    wire = RawWire(68, addresses)
    try:
        asked = list(_questions())
        for question in asked:
            _send(frames, interface, question)
        return await _collect(wire, interface, {q.xid for q in asked}, addresses, seconds)
    finally:
        wire.close()
        frames.close()


async def _collect(
    wire: RawWire, interface: str, asked: set[int], addresses: Addresses, seconds: float
) -> tuple[Rival, ...]:
    found: dict[tuple[IPv4Address, bool], Rival] = {}
    index = socket.if_nametoindex(interface)
    try:
        async with asyncio.timeout(seconds):
            async for datagram in wire.arrivals():
                if datagram.interface != index:
                    continue
                rival = _rival_in(datagram.data, asked, datagram.source[0])
                if rival is not None and not addresses.are_ours(rival.address):
                    found.setdefault((rival.address, rival.offers_address), rival)
    except TimeoutError:
        pass
    return tuple(found.values())


def _questions() -> Iterator[Packet]:
    """One of an ordinary machine, one of BIOS firmware: proxies answer only that."""
    card = bytes([_LOCAL_BIT]) + secrets.token_bytes(5)
    plain = {
        Option.MESSAGE_TYPE: bytes([MessageType.DISCOVER]),
        Option.PARAMETERS: bytes([1, 3, 6, 43, 54, 60, 66, 67]),
    }
    boot = {
        Option.CLASS_IDENTIFIER: b"PXEClient:Arch:00000:UNDI:002001",
        Option.CLIENT_ARCHITECTURE: b"\0\0",
        Option.CLIENT_UUID: b"\0" + secrets.token_bytes(16),
    }
    for options in (plain, {**plain, **boot}):
        yield Packet(
            op=Op.REQUEST,
            xid=secrets.randbits(32),
            hardware_address=card,
            flags=_BROADCAST_FLAG,
            options={int(code): value for code, value in options.items()},
        )


def _send(frames: Frames, interface: str, question: Packet) -> None:
    datagram = ipv4.UdpPacket(
        source=("0.0.0.0", 68), destination=(EVERYONE, 67), data=packet.encode(question)
    )
    frames.send(socket.if_nametoindex(interface), b"\xff" * 6, datagram)


def _rival_in(data: bytes, asked: set[int], source: str) -> Rival | None:
    try:
        heard = packet.decode(data)
    except MalformedPacket:
        return None
    if heard.xid not in asked or heard.message_type is not MessageType.OFFER:
        return None
    identifier = heard.options.get(Option.SERVER_IDENTIFIER, b"")
    address = IPv4Address(identifier) if len(identifier) == 4 else IPv4Address(source)
    named = heard.boot_file or heard.options.get(Option.BOOTFILE_NAME, b"")
    boot_file = printable(named.decode("utf-8", "replace"))
    has_address = bool(int(heard.your_address))
    words = [str(heard.your_address)] if has_address else []
    words += [f"the boot file {boot_file}"] if boot_file else []
    return Rival(
        address=address,
        offers_address=has_address,
        boot_file=boot_file,
        offer=" and ".join(words) or "neither an address nor a boot file",
    )
