"""Whether somebody uses an address: ARP on our own networks, an ICMP echo through a relay."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

log = logging.getLogger(__name__)

_ETH_P_ARP = 0x0806
#  hardware protocol lengths operation | sender's card and address | target's card and address
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_REQUEST = 1
_ETHERNET, _IPV4 = 1, 0x0800
_EVERYONE = b"\xff" * 6
_ECHO = struct.Struct("!BBHHH")
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
# RFC 2131 leaves the time open; RFC 5227 waits 1 to 2 s. A machine on the same network answers
# within milliseconds, and EDK2 collects offers for 4 s.
_ARP_SECONDS = 0.5
_ECHO_SECONDS = 1.0


_Sender = tuple[bytes, IPv4Address | None]  # its card, where that is known, and its address


class _Wait:
    def __init__(self, client: bytes) -> None:
        self.client = client
        self.heard = asyncio.Event()


class Probe:
    """Opened while we are root. Without the right for packet sockets nothing is tried."""

    def __init__(self, arp: socket.socket | None, icmp: socket.socket | None) -> None:
        self._arp, self._icmp = arp, icmp
        self._waiting: dict[IPv4Address, _Wait] = {}

    @classmethod
    def open(cls) -> Probe:
        arp = _opened(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ARP))
        icmp = _opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        return cls(arp, icmp)

    @property
    def can_try(self) -> bool:
        return self._arp is not None

    def close(self) -> None:
        for sock in (self._arp, self._icmp):
            if sock is not None:
                sock.close()

    async def run(self) -> None:
        """Read the answers until cancelled."""
        loop = asyncio.get_running_loop()
        sources = [(self._arp, _arp_sender), (self._icmp, _echo_sender)]
        open_ones = [(sock, read) for sock, read in sources if sock is not None]
        for sock, read in open_ones:
            loop.add_reader(sock, self._hear, sock, read)
        try:
            await loop.create_future()
        finally:
            for sock, _ in open_ones:
                loop.remove_reader(sock)

    async def is_used(self, address: IPv4Address, interface: str, client: bytes) -> bool:
        """By another than the client's card, which may have kept it. `interface`: where the
        address is on the network itself; empty behind a relay."""
        heard = self._waiting.setdefault(address, _Wait(client)).heard
        try:
            seconds = self._ask(address, interface)
            async with asyncio.timeout(seconds):
                await heard.wait()
            return True
        except TimeoutError:
            return False
        except OSError as error:  # the interface has gone, or there is no way there
            log.debug("%s could not be tried: %s", address, error)
            return False
        finally:
            self._waiting.pop(address, None)

    def _ask(self, address: IPv4Address, interface: str) -> float:
        if interface and self._arp is not None:
            packet = _arp_request(_card_of(interface), address)
            self._arp.sendto(packet, (interface, _ETH_P_ARP, 0, _ETHERNET, _EVERYONE))
            return _ARP_SECONDS
        if self._icmp is not None:
            self._icmp.sendto(_echo_request(), (str(address), 0))
            return _ECHO_SECONDS
        return 0.0

    def _hear(self, sock: socket.socket, read: Callable[[bytes], _Sender]) -> None:
        try:
            card, sender = read(sock.recv(2048))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            log.debug("an answer to a probe was lost: %s", error)
            return
        wait = self._waiting.get(sender) if sender is not None else None
        if wait is not None and card != wait.client:
            wait.heard.set()


def _opened(family: int, kind: int, protocol: int) -> socket.socket | None:
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError:
        return None
    sock.setblocking(False)
    return sock


def _card_of(interface: str) -> bytes:
    text = (Path("/sys/class/net") / interface / "address").read_text().strip()
    return bytes.fromhex(text.replace(":", ""))


def _arp_request(card: bytes, address: IPv4Address) -> bytes:
    """An ARP probe (RFC 5227, 2.1.1): the sender's address is zero, so that nobody notes it."""
    return _ARP.pack(_ETHERNET, _IPV4, 6, 4, _ARP_REQUEST, card, bytes(4), bytes(6), address.packed)


def _arp_sender(packet: bytes) -> _Sender:
    """Any ARP packet tells that its sender is there, its question for another as well."""
    if len(packet) < _ARP.size:
        return b"", None
    hardware, protocol, *_, card, sender, _, _ = _ARP.unpack_from(packet)
    return card, IPv4Address(sender) if (hardware, protocol) == (_ETHERNET, _IPV4) else None


def _echo_request() -> bytes:
    head = _ECHO.pack(_ECHO_REQUEST, 0, 0, os.getpid() & 0xFFFF, 1)
    return _ECHO.pack(_ECHO_REQUEST, 0, _checksum(head), os.getpid() & 0xFFFF, 1)


def _checksum(data: bytes) -> int:
    return 0xFFFF - int.from_bytes(data, "big") % 0xFFFF


def _echo_sender(packet: bytes) -> _Sender:
    """A raw ICMP socket gives the IP header with it; nobody's card is known by it."""
    start = (packet[0] & 15) * 4 if packet else 0
    if len(packet) < max(start, 20) + _ECHO.size or packet[start] != _ECHO_REPLY:
        return b"", None
    return b"", IPv4Address(packet[12:16])
