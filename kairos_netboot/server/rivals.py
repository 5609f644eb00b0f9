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

_SECONDS = 5.0  # dnsmasq pings an address for 3 s before its first offer of it
_BROADCAST_FLAG = 0x8000
_LOCAL_BIT = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """`sends_boot`: it answers firmware with more than an address. `leads_here`: to this host.
    `offer`: what it offers, in words."""

    address: IPv4Address
    offers_address: bool
    sends_boot: bool
    leads_here: bool = False
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
    found: dict[tuple[IPv4Address, bool], Rival] = {}  # one that names a boot file says more
    index = socket.if_nametoindex(interface)
    try:
        async with asyncio.timeout(seconds):
            async for datagram in wire.arrivals():
                if datagram.interface != index:
                    continue
                rival = _rival_in(datagram.data, asked, datagram.source[0], addresses)
                if rival is None or addresses.are_ours(rival.address):
                    continue
                key = (rival.address, rival.offers_address)
                if key not in found or rival.sends_boot > found[key].sends_boot:
                    found[key] = rival
    except TimeoutError:
        pass
    return tuple(found.values())


# One of each that a proxy may have an answer for, and for no other: BIOS, UEFI of both
# architectures, UEFI's HTTP Boot.
_FIRMWARE = {0: "PXEClient", 7: "PXEClient", 11: "PXEClient", 16: "HTTPClient"}


def _questions() -> Iterator[Packet]:
    """One of an ordinary machine, then one of each kind of firmware; all of the same card, so
    that no server sets several addresses aside."""
    card = bytes([_LOCAL_BIT]) + secrets.token_bytes(5)
    plain = {
        Option.MESSAGE_TYPE: bytes([MessageType.DISCOVER]),
        Option.PARAMETERS: bytes([1, 3, 6, 43, 54, 60, 66, 67]),
    }
    identity = b"\0" + secrets.token_bytes(16)
    firmware = [
        {
            Option.CLASS_IDENTIFIER: f"{word}:Arch:{arch:05}:UNDI:003016".encode(),
            Option.CLIENT_ARCHITECTURE: arch.to_bytes(2, "big"),
            Option.CLIENT_UUID: identity,
        }
        for arch, word in _FIRMWARE.items()
    ]
    for options in ({}, *firmware):
        yield Packet(
            op=Op.REQUEST,
            xid=secrets.randbits(32),
            hardware_address=card,
            flags=_BROADCAST_FLAG,
            options={int(code): value for code, value in {**plain, **options}.items()},
        )


def _send(frames: Frames, interface: str, question: Packet) -> None:
    datagram = ipv4.UdpPacket(
        source=("0.0.0.0", 68), destination=(EVERYONE, 67), data=packet.encode(question)
    )
    frames.send(socket.if_nametoindex(interface), b"\xff" * 6, datagram)


def _rival_in(data: bytes, asked: set[int], source: str, addresses: Addresses) -> Rival | None:
    try:
        heard = packet.decode(data)
    except MalformedPacket:
        return None
    if heard.xid not in asked or heard.message_type is not MessageType.OFFER:
        return None
    boot = _text(heard.boot_file or heard.options.get(Option.BOOTFILE_NAME, b""))
    vendor = _text(heard.options.get(Option.CLASS_IDENTIFIER, b""))
    return Rival(
        address=_address(heard.options.get(Option.SERVER_IDENTIFIER, b"")) or IPv4Address(source),
        offers_address=bool(int(heard.your_address)),
        sends_boot=bool(boot) or vendor.startswith(tuple(_FIRMWARE.values())),
        leads_here=addresses.are_ours(heard.next_server),
        offer=_in_words(heard, boot, vendor),
    )


def _in_words(heard: Packet, boot: str, vendor: str) -> str:
    words = [str(heard.your_address)] if int(heard.your_address) else []
    if router := _address(heard.options.get(Option.ROUTERS, b"")[:4]):
        words.append(f"the router {router}")
    if boot:
        words.append(f"the boot file {boot}")
    elif vendor:
        words.append(f"a boot menu for {vendor}")
    if int(heard.next_server) and (boot or vendor):
        words.append(f"the boot server {heard.next_server}")
    return ", ".join(words) or "neither an address nor a boot file"


def _address(raw: bytes) -> IPv4Address | None:
    return IPv4Address(raw) if len(raw) == 4 else None


def _text(raw: bytes) -> str:
    return printable(raw.rstrip(b"\0").decode("utf-8", "replace"))
