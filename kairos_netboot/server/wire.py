"""What DHCP is heard and answered by: a UDP socket, or packet sockets beside another daemon."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Protocol

from ..boot.network import Listen
from . import ipv4, udp
from .addresses import Addresses
from .raw import EVERYONE, Frames, RawWire, frames_or_none
from .udp import Datagram, Endpoint


class Wire(Protocol):
    """`where` is it, in words. `send` answers `via`: a broadcast, and what goes to an Ethernet
    address, by its interface; all else as the routes say, from its local address."""

    where: str

    def arrivals(self) -> AsyncIterator[Datagram]: ...

    def send(
        self, data: bytes, destination: Endpoint, *, via: Datagram, hardware: bytes = b""
    ) -> None: ...

    def close(self) -> None: ...


def open_wire(
    listen: Listen, address: str, port: int, addresses: Addresses, *, option: str
) -> Wire:
    """Raises CannotServe. To be called while still root; `option` chooses another port."""
    if listen is Listen.RAW:
        return RawWire(port, addresses)
    return UdpWire(udp.bind(address, port, option=option), addresses, frames_or_none())


class UdpWire:
    """`frames` is None where the right to send to Ethernet addresses is missing: then whoever
    has no IP address yet is answered by broadcast."""

    def __init__(self, sock: socket.socket, addresses: Addresses, frames: Frames | None) -> None:
        address, self.port = sock.getsockname()[:2]
        self.where = f"{address}:{self.port}"
        self._sock = sock
        self._addresses = addresses
        self._frames = frames

    def arrivals(self) -> AsyncIterator[Datagram]:
        return udp.arrivals(self._sock)

    def send(
        self, data: bytes, destination: Endpoint, *, via: Datagram, hardware: bytes = b""
    ) -> None:
        if hardware and self._frames is not None:
            source = (via.local, self.port)
            packet = ipv4.UdpPacket(source=source, destination=destination, data=data)
            self._frames.send(via.interface, hardware, packet)
            return
        if hardware:
            destination = (EVERYONE, destination[1])
        udp.send(self._sock, data, destination, via=self._way(destination, via))

    def close(self) -> None:
        self._sock.close()
        if self._frames is not None:
            self._frames.close()

    def _way(self, destination: Endpoint, via: Datagram) -> Datagram:
        """By the interface that was asked, but to a relay or client that is not on its network:
        the kernel, told to use that interface, would take it for a neighbour there."""
        if destination[0] == EVERYONE:
            return via
        near = self._addresses.reach(via.interface, IPv4Address(destination[0]))
        return via if near else replace(via, interface=0)
