"""What the routers of our links advertise: whether DHCPv6 gives out addresses there."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from ..dhcp.v6router import (
    ROUTER_ADVERTISEMENT,
    SOLICITATION,
    Advertisement,
    Prefix,
    decode_advertisement,
)
from ..errors import MalformedPacket
from . import udp
from .udp import Datagram

log = logging.getLogger(__name__)

_ALL_ROUTERS = "ff02::2"
_ICMP6_FILTER = 1  # linux/icmpv6.h; a bit that is set keeps its type out
_PKTINFO = struct.Struct("@16sI")  # struct in6_pktinfo
_INT = struct.Struct("@i")
_HOP_LIMIT = 255  # RFC 4861: with fewer left it has come from another link
# A router advertises every 30 minutes at the least (RFC 4861, MaxRtrAdvInterval): silent for two
# of these, it is gone.
_KEPT_SECONDS = 3600.0
_SOLICITATIONS, _SOLICITATION_SECONDS = 3, 4.0  # RFC 4861, section 10


@dataclass(slots=True)
class Routers:
    """The last word of each router, by interface and the router's address. Time is an argument."""

    _heard: dict[tuple[int, str], tuple[float, Advertisement]] = field(default_factory=dict)

    def take(self, interface: int, router: str, said: Advertisement, now: float) -> None:
        self._heard[interface, router] = (now, said)

    def lendable(self, interface: int, now: float) -> Prefix | None:
        """A prefix that machines of this link make their addresses in; None where a router says
        that DHCPv6 gives addresses, and where none says anything."""
        said = self._said(interface, now)
        if any(each.managed for each in said):
            return None
        return next((prefix for each in said for prefix in each.prefixes), None)

    def networks(self, interface: int, now: float) -> tuple[IPv6Network, ...]:
        prefixes = (p for said in self._said(interface, now) for p in said.prefixes)
        return tuple(prefix.network for prefix in prefixes)

    def _said(self, interface: int, now: float) -> list[Advertisement]:
        return [
            said
            for (where, _), (at, said) in self._heard.items()
            if where == interface and now - at < _KEPT_SECONDS
        ]


def open_socket() -> socket.socket | None:
    """Where advertisements come in; None where this user may not have it."""
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    except OSError as error:
        log.debug("router advertisements are not heard: %s", error)
        return None
    words = [0xFFFFFFFF] * 8
    words[ROUTER_ADVERTISEMENT >> 5] ^= 1 << (ROUTER_ADVERTISEMENT & 31)
    sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("@8I", *words))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOP_LIMIT)
    sock.setblocking(False)
    return sock


async def solicit(sock: socket.socket, interfaces: Iterable[int]) -> None:
    """Ask the routers of these links to advertise now, and not when their time has come. Three
    times, as a host does: an interface that has just come up cannot send at first."""
    for _ in range(_SOLICITATIONS):
        for interface in interfaces:
            try:
                sock.sendto(SOLICITATION, (_ALL_ROUTERS, 0, 0, interface))
            except OSError as error:
                log.debug("no router asked on interface %d: %s", interface, error)
        await asyncio.sleep(_SOLICITATION_SECONDS)


async def hear_routers(sock: socket.socket, routers: Routers) -> None:
    """Take in what routers advertise, until cancelled."""
    loop = asyncio.get_running_loop()
    async for datagram in udp.arrivals(sock, receive):
        try:
            said = decode_advertisement(datagram.data)
        except MalformedPacket as problem:
            log.debug("ignored what %s advertised: %s", datagram.source[0], problem)
        else:
            routers.take(datagram.interface, datagram.source[0], said, loop.time())


def receive(sock: socket.socket) -> Datagram | None:
    """The next advertisement of a router on one of our links, or None if there is none now."""
    space = socket.CMSG_SPACE(_PKTINFO.size) + socket.CMSG_SPACE(_INT.size)
    while True:
        try:
            data, ancillary, _, source = sock.recvmsg(4096, space)
        except (BlockingIOError, InterruptedError):
            return None
        told = {kind: value for level, kind, value in ancillary if level == socket.IPPROTO_IPV6}
        hops = _INT.unpack(told.get(socket.IPV6_HOPLIMIT, bytes(4)))[0]
        raw, interface = _PKTINFO.unpack(told.get(socket.IPV6_PKTINFO, bytes(20)))
        if hops == _HOP_LIMIT and IPv6Address(source[0]).is_link_local:
            local = str(IPv6Address(raw))
            return Datagram(data=data, source=source[:2], local=local, interface=interface)
