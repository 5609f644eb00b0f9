"""UDP sockets on IPv6 that know where each datagram came in, and the groups that DHCPv6 uses."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
import sys
from collections.abc import AsyncIterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from ..errors import CannotServe
from . import udp
from .udp import Datagram, Endpoint

log = logging.getLogger(__name__)

SERVERS = "ff02::1:2"  # All_DHCP_Relay_Agents_and_Servers
_PKTINFO = struct.Struct("@16sI")  # struct in6_pktinfo: address, interface index
_LARGEST = 4096
_LOOK_AGAIN_SECONDS = 5.0  # for interfaces that have come since

# Columns of /proc/net/if_inet6: address, index, prefix length, scope, flags, name.
_IF_INET6 = Path("/proc/net/if_inet6")
_SCOPE_GLOBAL = 0
_TEMPORARY, _FAILED, _DEPRECATED, _TENTATIVE, _PERMANENT = 0x01, 0x08, 0x20, 0x40, 0x80


def bind(address: str, port: int, *, option: str) -> socket.socket:
    """A non-blocking socket for `receive` and `send`, IPv6 only; `option` chooses another port."""
    if sys.platform != "linux":
        raise CannotServe(
            f"UDP port {port} needs Linux, to tell which interface a request came in on:"
            " serve from a Linux machine or container"
        )
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    except OSError as error:
        raise _no_ipv6(error, port) from error
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise udp.cannot_bind(error, address, port, option) from error
    return sock


def _no_ipv6(error: OSError, port: int) -> CannotServe:
    return CannotServe(
        f"UDP port {port} on IPv6 cannot be opened, this kernel has no IPv6: serve without it"
        f" ({error.strerror})"
    )


def is_available() -> bool:
    """Whether this kernel has IPv6 and some interface has an address of it."""
    return socket.has_ipv6 and _IF_INET6.exists() and bool(_IF_INET6.read_text().strip())


def receive(sock: socket.socket) -> Datagram | None:
    """The next datagram, or None if there is none now. `local` may be a group's address."""
    try:
        data, ancillary, _, source = sock.recvmsg(_LARGEST, socket.CMSG_SPACE(_PKTINFO.size))
    except (BlockingIOError, InterruptedError):
        return None
    local, interface = sock.getsockname()[0], source[3]
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            raw, interface = _PKTINFO.unpack(value)
            local = str(IPv6Address(raw))
    return Datagram(data=data, source=source[:2], local=local, interface=interface)


def arrivals(sock: socket.socket) -> AsyncIterator[Datagram]:
    """Datagrams for ever."""
    return udp.arrivals(sock, receive)


def send(sock: socket.socket, data: bytes, destination: Endpoint, *, via: Datagram) -> None:
    """Send by the interface that `via` came in on, from the address it was meant for; where that
    is a group's, from one that the kernel chooses."""
    local = IPv6Address(via.local)
    source = bytes(16) if local.is_multicast else local.packed
    info = _PKTINFO.pack(source, via.interface)
    host, port = destination
    scope = via.interface if IPv6Address(host).is_link_local else 0
    ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]
    sock.sendmsg([data], ancillary, 0, (host, port, 0, scope))


def join(sock: socket.socket, only: frozenset[str] = frozenset()) -> list[int]:
    """Join the group of DHCPv6 servers on every interface, or on those of `only`; the indices of
    those that are new."""
    joined = []
    for index, name in socket.if_nameindex():
        if only and name not in only:
            continue
        request = socket.inet_pton(socket.AF_INET6, SERVERS) + struct.pack("@I", index)
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # a member already
                log.debug("no DHCPv6 on %s: %s", name, error)
        else:
            joined.append(index)
    return joined


async def joined(
    sock: socket.socket, only: frozenset[str] = frozenset()
) -> AsyncIterator[list[int]]:
    """Join on interfaces as they come, for ever; each time that some are new, these. One that
    was made anew under an old name is a new one."""
    while True:
        if interfaces := join(sock, only):
            yield interfaces
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def own_address(interface: int, near: tuple[IPv6Network, ...] = ()) -> IPv6Address | None:
    """Our address on an interface that a machine there can use; None where there is none.

    One of a prefix in `near` first, then one that is there to stay, then a global one.
    """

    def rank(found: tuple[IPv6Address, bool]) -> tuple[bool, bool, bool]:
        address, stays = found
        return not any(address in n for n in near), not stays, not address.is_global

    return min(_addresses(interface), key=rank, default=(None, False))[0]


def _addresses(interface: int) -> list[tuple[IPv6Address, bool]]:
    """Each with whether somebody set it, and no router. A temporary address (RFC 8981) is gone
    tomorrow; to a link-local one EDK2 finds its way, the GRUB after it does not."""
    unfit = _TEMPORARY | _FAILED | _DEPRECATED | _TENTATIVE
    found = []
    for line in _IF_INET6.read_text().splitlines():
        raw, index, _, scope, hexadecimal, _ = line.split()
        flags = int(hexadecimal, 16)
        is_usable = int(scope, 16) == _SCOPE_GLOBAL and not flags & unfit
        if is_usable and int(index, 16) == interface:
            found.append((IPv6Address(bytes.fromhex(raw)), bool(flags & _PERMANENT)))
    return found


def own_seed() -> str:
    """What tells this host from others: the hardware address of its first interface."""
    for _, name in sorted(socket.if_nameindex()):
        path = Path("/sys/class/net") / name / "address"
        text = path.read_text().strip() if path.exists() else ""
        if text.strip("0:"):
            return text
    return socket.gethostname()
