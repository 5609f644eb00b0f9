"""UDP sockets that know where each datagram came in: what DHCP and TFTP both stand on."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ..errors import CannotServe
from .ports import holder

Endpoint = tuple[str, int]

_IP_PKTINFO = 8  # linux/in.h; Python 3.11's socket does not name it
_PKTINFO = struct.Struct("@i4s4s")  # struct in_pktinfo: interface index, spec_dst, addr
# What else to do where another program holds the port that an option is about.
_BESIDE = {"--dhcp-port": ", work beside it with `dhcp: {listen: raw}` in the site file,"}
_LARGEST = 4096  # DHCP and TFTP requests stay within one Ethernet frame
# A room that is switched on asks all at once: Linux's 208 KiB hold 250 requests.
_WAITING_BYTES = 4 << 20
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; more than net.core.rmem_max, with CAP_NET_ADMIN
_AT_ONCE = 32  # datagrams read before the rest of the program gets its turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """`local` is the address of ours to answer from; where the datagram was a `broadcast`, the
    interface's primary one, and then any other of that interface would do as well."""

    data: bytes
    source: Endpoint
    local: str
    interface: int
    broadcast: bool = False


def bind(address: str, port: int, *, option: str) -> socket.socket:
    """A non-blocking socket for `receive` and `send`; `option` is what chooses another port."""
    if sys.platform != "linux":
        raise CannotServe(
            f"UDP port {port} needs Linux, to tell which interface a request came in on:"
            " serve from a Linux machine or container"
        )
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # No SO_REUSEADDR: on Linux two UDP sockets that set it share a port, and the later one
        # takes the other's unicasts without an error. UDP ports need no waiting time anyway.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        widen(sock)
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise cannot_bind(error, address, port, option) from error
    return sock


def widen(sock: socket.socket) -> None:
    """Let more datagrams wait for us; as many as the system allows, without the right for more."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WAITING_BYTES)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WAITING_BYTES)


def receive(sock: socket.socket) -> Datagram | None:
    """The next datagram, or None if there is none now."""
    try:
        data, ancillary, _, source = sock.recvmsg(_LARGEST, socket.CMSG_SPACE(_PKTINFO.size))
    except (BlockingIOError, InterruptedError):
        return None
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            interface, local, destination = _PKTINFO.unpack(value)
            return Datagram(
                data=data,
                source=source,
                local=socket.inet_ntoa(local),
                interface=interface,
                broadcast=local != destination,
            )
    return Datagram(data=data, source=source, local=sock.getsockname()[0], interface=0)


def send(sock: socket.socket, data: bytes, destination: Endpoint, *, via: Datagram) -> None:
    """Send by the interface of `via`, from its local address; interface 0: by the routes."""
    sock.sendmsg([data], [packet_info(via.interface, via.local)], 0, destination)


def packet_info(interface: int, local: str) -> tuple[int, int, bytes]:
    """For `sendmsg`: the interface to leave by, 0 for what the routes say, and the source."""
    info = _PKTINFO.pack(interface, socket.inet_aton(local), bytes(4))
    return socket.IPPROTO_IP, _IP_PKTINFO, info


def interface_name(index: int) -> str:
    """`eth0`; `interface 7` where it has gone since."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"interface {index}"


async def arrivals(
    sock: socket.socket, read: Callable[[socket.socket], Datagram | None] = receive
) -> AsyncIterator[Datagram]:
    """Datagrams for ever. However fast they come, the event loop runs in between."""
    while True:
        await _readable(sock)
        for _ in range(_AT_ONCE):
            datagram = read(sock)
            if datagram is None:
                break
            yield datagram


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def cannot_bind(
    error: OSError, address: str, port: int, option: str, protocol: str = "UDP"
) -> CannotServe:
    """What a person can do about it, in one line."""
    where = f"{protocol} port {port} on {address}"
    match error.errno:
        case errno.EADDRINUSE:
            by = holder(port, protocol) or "another program"
            beside = _BESIDE.get(option, "")
            return CannotServe(f"{where} is taken by {by}: stop it{beside} or choose {option}")
        case errno.EACCES | errno.EPERM:
            return CannotServe(
                f"{where} may not be opened by this user: run as root, give {option} above 1023,"
                f" or: setcap cap_net_bind_service=+ep {os.path.realpath(sys.executable)}"
            )
        case errno.EADDRNOTAVAIL:
            return CannotServe(
                f"{where} cannot be opened: no interface here has that address;"
                " give one that `ip address` shows, or 0.0.0.0"
            )
    return CannotServe(f"{where} cannot be opened: {error.strerror or error}")
