"""Port 67 by packet sockets (packet(7)): beside a DHCP daemon of this host that holds the port."""

from __future__ import annotations

import ctypes
import logging
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, closing
from ipaddress import IPv4Address

from ..errors import CannotServe, MalformedPacket
from . import ipv4, udp
from .addresses import Addresses
from .udp import Datagram, Endpoint

log = logging.getLogger(__name__)

EVERYONE = "255.255.255.255"
_ETH_P_IP = 0x0800
_ARPHRD_ETHER = 1
_BROADCAST_HARDWARE = b"\xff" * 6
_SO_ATTACH_FILTER = 26
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
# struct tpacket_auxdata: status, length, snapped length, offsets of both headers, VLAN, its type
_AUXDATA = struct.Struct("@IIIHHHH")
_CHECKSUM_NOT_READY, _CHECKSUM_VALID = 1 << 3, 1 << 7
_FOR_US = (socket.PACKET_HOST, socket.PACKET_BROADCAST, socket.PACKET_MULTICAST)
_LARGEST = 65535

# Opcodes of the kernel's filter machine (linux/filter.h). Offsets are from the IP header, as the
# socket is a "cooked" one: so any kind of link will do.
_LOAD_BYTE, _LOAD_HALF, _LOAD_HALF_AT_X = 0x30, 0x28, 0x48
_X_IS_HEADER_LENGTH, _IF_EQUAL, _IF_BITS, _RETURN = 0xB1, 0x15, 0x45, 0x06


def port_filter(port: int) -> bytes:
    """A filter program: whole UDP datagrams to this port."""
    program = (
        (_LOAD_BYTE, 0, 0, 9),
        (_IF_EQUAL, 0, 6, 17),  # UDP
        (_LOAD_HALF, 0, 0, 6),
        (_IF_BITS, 4, 0, 0x3FFF),  # a fragment
        (_X_IS_HEADER_LENGTH, 0, 0, 0),
        (_LOAD_HALF_AT_X, 0, 0, 2),
        (_IF_EQUAL, 0, 1, port),
        (_RETURN, 0, 0, _LARGEST),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def attach(sock: socket.socket, program: bytes) -> None:
    """Let only what the program lets pass into the socket."""
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of steps, and where they are.
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


class Frames:
    """Sends IP packets to Ethernet addresses; needs CAP_NET_RAW when it is made."""

    def __init__(self) -> None:
        # Protocol 0: nothing is received.
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._sock.setblocking(False)

    def send(self, interface: int, hardware: bytes, packet: ipv4.UdpPacket) -> None:
        name = socket.if_indextoname(interface)
        self._sock.sendto(ipv4.encode(packet), (name, _ETH_P_IP, 0, _ARPHRD_ETHER, hardware))

    def close(self) -> None:
        self._sock.close()


class RawWire:
    """All interfaces, those that come later as well.

    Bound to IPv4's protocol number and not to "all": so each request is heard once, where this
    host's own IP would hear it, on the bridge and not on its port, on the VLAN's sub-interface
    and not on the trunk. Tags of VLAN 0, which bear a priority only, the kernel takes off.
    """

    def __init__(self, port: int, addresses: Addresses) -> None:
        """Raises CannotServe."""
        self.where = f"port {port} by a packet socket"
        self._port = port
        self._addresses = addresses
        self._told: set[str] = set()
        with ExitStack() as stack:
            try:
                self._frames = stack.enter_context(closing(Frames()))
                self._routed = stack.enter_context(_routed())
                self._sock = stack.enter_context(_listening(port))
            except OSError as error:
                raise _cannot_open(error, port) from error
            self._sockets = stack.pop_all()

    def arrivals(self) -> AsyncIterator[Datagram]:
        return udp.arrivals(self._sock, self._receive)

    def send(
        self, data: bytes, destination: Endpoint, *, via: Datagram, hardware: bytes = b""
    ) -> None:
        source = (via.local, self._port)
        packet = ipv4.UdpPacket(source=source, destination=destination, data=data)
        if destination[0] == EVERYONE:
            self._frames.send(via.interface, _BROADCAST_HARDWARE, packet)
        elif hardware:
            self._frames.send(via.interface, hardware, packet)
        else:
            by = via.interface if self._addresses.reach(via.interface, _ip(destination)) else 0
            self._routed.sendmsg(
                [ipv4.encode(packet)], [udp.packet_info(by, via.local)], 0, (destination[0], 0)
            )

    def close(self) -> None:
        self._sockets.close()

    def _receive(self, sock: socket.socket) -> Datagram | None:
        try:
            room = socket.CMSG_SPACE(_AUXDATA.size)
            data, ancillary, _, address = sock.recvmsg(_LARGEST, room)
        except (BlockingIOError, InterruptedError):
            return None
        name, _, kind, *_ = address
        try:
            packet = ipv4.decode(data, trusted=_is_trusted(ancillary))
            return self._datagram(packet, name, kind)
        except (MalformedPacket, OSError) as problem:  # OSError: the interface has gone
            log.debug("ignored a packet on %s: %s", name, problem)
            return None

    def _datagram(self, packet: ipv4.UdpPacket, name: str, kind: int) -> Datagram | None:
        """None for another port's, and for what this host only routes on to another server."""
        if packet.destination[1] != self._port:
            return None
        if kind not in _FOR_US:
            if packet.destination[0] == EVERYONE:
                self._tell_of_vlan(name)
            return None
        interface = socket.if_nametoindex(name)
        local, broadcast = packet.destination[0], False
        if not self._addresses.are_ours(_ip(packet.destination)):
            if kind == socket.PACKET_HOST:
                return None
            primary = next((own.ip for own in self._addresses.of(interface)), IPv4Address(0))
            local, broadcast = str(primary), True
        return Datagram(
            data=packet.data,
            source=packet.source,
            local=local,
            interface=interface,
            broadcast=broadcast,
        )

    def _tell_of_vlan(self, name: str) -> None:
        """A broadcast that the kernel holds for another host's came with the tag of a VLAN that
        has no interface here. It is not ours to answer, though a trunk shows it: that machine
        would find neither our TFTP nor our HTTP."""
        if name not in self._told:
            self._told.add(name)
            log.info(
                "DHCP requests tagged for a VLAN come in on %s and are ignored: to answer them, "
                "make a sub-interface for that VLAN and give it an address",
                name,
            )


def frames_or_none() -> Frames | None:
    """None where the right for it is missing."""
    try:
        return Frames()
    except OSError:
        return None


def _routed() -> socket.socket:
    """Sends only, with a header of ours; the kernel finds the way and the neighbour's address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setblocking(False)
    return sock


def _listening(port: int) -> socket.socket:
    # Unbound, it hears all interfaces, from now on; what comes before the filter stands is looked
    # at later, like everything.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    try:
        attach(sock, port_filter(port))
        sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        sock.setblocking(False)
        udp.widen(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _is_trusted(ancillary: Iterable[tuple[int, int, bytes]]) -> bool:
    """Whether the kernel vouches for the UDP checksum, or knows that nobody has made it yet."""
    for level, kind, value in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            return bool(_AUXDATA.unpack(value)[0] & (_CHECKSUM_NOT_READY | _CHECKSUM_VALID))
    return False


def _ip(endpoint: Endpoint) -> IPv4Address:
    return IPv4Address(endpoint[0])


def _cannot_open(error: OSError, port: int) -> CannotServe:
    if isinstance(error, PermissionError):
        return CannotServe(
            f"port {port} by a packet socket (dhcp.listen: raw) needs the right CAP_NET_RAW: run as"
            " root, give it to the container, or:"
            f" setcap cap_net_raw,cap_net_bind_service=+ep {os.path.realpath(sys.executable)}"
        )
    return CannotServe(f"port {port} by a packet socket cannot be opened: {error.strerror}")
