"""UDP sockets that know where each datagram came in: what DHCP and TFTP both stand on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import CannotServe

Endpoint = tuple[str, int]

_IP_PKTINFO = 8  # linux/in.h; Python 3.11's socket does not name it
_PKTINFO = struct.Struct("@i4s4s")  # struct in_pktinfo: interface index, spec_dst, addr
_LARGEST = 4096  # DHCP and TFTP requests stay within one Ethernet frame
_AT_ONCE = 32  # datagrams read before the rest of the program gets its turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """`local` is the address of ours to answer from, the interface's own for a broadcast."""

    data: bytes
    source: Endpoint
    local: str
    interface: int


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
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise cannot_bind(error, address, port, option) from error
    return sock


def receive(sock: socket.socket) -> Datagram | None:
    """The next datagram, or None if there is none now."""
    try:
        data, ancillary, _, source = sock.recvmsg(_LARGEST, socket.CMSG_SPACE(_PKTINFO.size))
    except (BlockingIOError, InterruptedError):
        return None
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            interface, local, _ = _PKTINFO.unpack(value)
            return Datagram(
                data=data, source=source, local=socket.inet_ntoa(local), interface=interface
            )
    return Datagram(data=data, source=source, local=sock.getsockname()[0], interface=0)


def send(sock: socket.socket, data: bytes, destination: Endpoint, *, via: Datagram) -> None:
    """Send by the interface that `via` came in on, from the address it was meant for."""
    info = _PKTINFO.pack(via.interface, socket.inet_aton(via.local), bytes(4))
    sock.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, destination)


def interface_name(index: int) -> str:
    """`eth0`; `interface 7` where it has gone since."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"interface {index}"


async def arrivals(sock: socket.socket) -> AsyncIterator[Datagram]:
    """Datagrams for ever. However fast they come, the event loop runs in between."""
    while True:
        await _readable(sock)
        for _ in range(_AT_ONCE):
            datagram = receive(sock)
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
            return CannotServe(
                f"{where} is taken by {_holder(port, protocol)}: stop it or choose {option}"
            )
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


def _holder(port: int, protocol: str) -> str:
    """`dnsmasq (process 812)`, or `another program` where only root may know."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, protocol.lower())}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone since, or someone else's
            if any(os.readlink(held) in sockets for held in (process / "fd").iterdir()):
                name = (process / "comm").read_text().strip()
                return f"{name} (process {process.name})"
    return "another program"


def _inodes(port: int, protocol: str) -> Iterator[str]:
    """The sockets bound to a port; an IPv6 one may hold the IPv4 port as well."""
    for version in ("", "6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{protocol}{version}").read_text().splitlines()[1:]:
                columns = line.split()
                if int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
