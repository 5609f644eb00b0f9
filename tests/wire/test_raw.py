"""Packet sockets on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from kairos_netboot.boot.network import Listen
from kairos_netboot.server.addresses import Addresses, read_addresses
from kairos_netboot.server.raw import RawWire
from kairos_netboot.server.udp import Datagram, interface_name
from kairos_netboot.server.wire import UdpWire, Wire, open_wire

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="packet sockets need CAP_NET_RAW"),
]


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """Who holds the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def wire(daemon: socket.socket) -> Iterator[Wire]:
    port = daemon.getsockname()[1]
    with closing(open_wire(Listen.RAW, "", port, Addresses(), option="--port")) as wire:
        assert isinstance(wire, RawWire)
        yield wire


def arrived(wire: Wire, number: int = 1) -> list[Datagram]:
    async def first() -> list[Datagram]:
        found = []
        async for datagram in wire.arrivals():
            found.append(datagram)
            if len(found) == number:
                break
        return found

    return asyncio.run(asyncio.wait_for(first(), 5))


def test_the_kernels_addresses_are_read() -> None:
    loopback = socket.if_nametoindex("lo")
    assert (loopback, "127.0.0.1/8") in [(index, str(own)) for index, own in read_addresses()]


def test_a_datagram_is_heard_beside_the_one_who_holds_the_port(
    wire: Wire, daemon: socket.socket, client: socket.socket
) -> None:
    client.sendto(b"hello", daemon.getsockname())
    [datagram] = arrived(wire)
    assert (datagram.data, datagram.source) == (b"hello", client.getsockname())
    assert (datagram.local, datagram.broadcast) == ("127.0.0.1", False)
    assert interface_name(datagram.interface) == "lo"
    assert daemon.recv(100) == b"hello"


def test_other_ports_are_not_heard(
    wire: Wire, daemon: socket.socket, client: socket.socket
) -> None:
    port = daemon.getsockname()[1]
    client.sendto(b"elsewhere", client.getsockname())
    client.sendto(b"here", ("127.0.0.2", port))
    [datagram] = arrived(wire)
    assert (datagram.data, datagram.local) == (b"here", "127.0.0.2")


def test_an_answer_comes_from_the_port_that_another_holds(
    wire: Wire, daemon: socket.socket, client: socket.socket
) -> None:
    client.sendto(b"hello", daemon.getsockname())
    [asked] = arrived(wire)
    wire.send(b"hi", client.getsockname(), via=asked)
    assert client.recvfrom(100) == (b"hi", daemon.getsockname())


def test_an_answer_to_an_ethernet_address_needs_no_route(
    wire: Wire, daemon: socket.socket, client: socket.socket
) -> None:
    client.sendto(b"hello", daemon.getsockname())
    [asked] = arrived(wire)
    # The kernel takes no 127.0.0.1 from a packet socket: a packet socket looks for it.
    with closing(RawWire(client.getsockname()[1], Addresses())) as there:
        wire.send(b"hi", client.getsockname(), via=asked, hardware=bytes(6))
        [answer] = arrived(there)
    assert (answer.data, answer.source) == (b"hi", daemon.getsockname())


def test_by_udp_too_an_ethernet_address_is_answered(client: socket.socket) -> None:
    with closing(open_wire(Listen.UDP, "127.0.0.1", 0, Addresses(), option="--port")) as wire:
        assert isinstance(wire, UdpWire)
        client.sendto(b"hello", ("127.0.0.1", wire.port))
        [asked] = arrived(wire)
        with closing(RawWire(client.getsockname()[1], Addresses())) as there:
            wire.send(b"hi", client.getsockname(), via=asked, hardware=bytes(6))
            [answer] = arrived(there)
        assert (answer.data, answer.source) == (b"hi", ("127.0.0.1", wire.port))
        wire.send(b"by route", client.getsockname(), via=asked)
        assert client.recvfrom(100) == (b"by route", ("127.0.0.1", wire.port))


def test_a_storm_leaves_nothing_out(
    wire: Wire, daemon: socket.socket, client: socket.socket
) -> None:
    for number in range(200):
        client.sendto(str(number).encode(), daemon.getsockname())
    assert [int(datagram.data) for datagram in arrived(wire, 200)] == list(range(200))
