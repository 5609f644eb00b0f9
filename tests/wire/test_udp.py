"""UDP sockets on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kairos_netboot.errors import CannotServe
from kairos_netboot.server import udp

pytestmark = pytest.mark.wire


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with closing(udp.bind("0.0.0.0", 0, option="--port")) as sock:
        yield sock


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def arrived(sock: socket.socket) -> udp.Datagram:
    async def first() -> udp.Datagram:
        return await anext(udp.arrivals(sock))

    return asyncio.run(asyncio.wait_for(first(), 5))


def test_nothing_to_receive_is_none(server: socket.socket) -> None:
    assert udp.receive(server) is None


def test_a_datagram_knows_the_address_and_interface_it_was_meant_for(
    server: socket.socket, client: socket.socket
) -> None:
    client.sendto(b"hello", ("127.0.0.2", server.getsockname()[1]))
    datagram = arrived(server)
    assert datagram.data == b"hello"
    assert datagram.source == client.getsockname()
    assert datagram.local == "127.0.0.2"
    assert not datagram.broadcast
    assert udp.interface_name(datagram.interface) == "lo"


def test_an_answer_leaves_from_the_address_that_was_asked(
    server: socket.socket, client: socket.socket
) -> None:
    port = server.getsockname()[1]
    asked = udp.Datagram(
        data=b"",
        source=client.getsockname(),
        local="127.0.0.3",
        interface=socket.if_nametoindex("lo"),
    )
    udp.send(server, b"hi", client.getsockname(), via=asked)
    assert client.recvfrom(100) == (b"hi", ("127.0.0.3", port))


def test_an_empty_datagram_is_a_datagram(server: socket.socket, client: socket.socket) -> None:
    client.sendto(b"", ("127.0.0.1", server.getsockname()[1]))
    assert arrived(server).data == b""


def test_a_flood_leaves_time_for_other_tasks(server: socket.socket, client: socket.socket) -> None:
    for _ in range(200):
        client.sendto(b"x", ("127.0.0.1", server.getsockname()[1]))

    async def measure() -> int:
        turns, received = 0, 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.ensure_future(count())
        async for _ in udp.arrivals(server):
            received += 1
            if received == 200:
                break
        counting.cancel()
        return turns

    assert asyncio.run(measure()) >= 200 // 32


def test_more_waits_for_us_than_the_system_gives_by_itself(server: socket.socket) -> None:
    """As much as the system allows; whoever has the right for more takes it."""
    usual = int(Path("/proc/sys/net/core/rmem_default").read_text())
    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    size = server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)  # Linux doubles what it is told
    assert size > usual
    assert size >= 2 * min(most, 4 << 20)


def test_a_taken_port_names_its_holder_and_the_way_out(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with pytest.raises(CannotServe) as problem:
        udp.bind("127.0.0.1", port, option="--tftp-port")
    holder = Path("/proc/self/comm").read_text().strip()
    assert str(problem.value) == (
        f"UDP port {port} on 127.0.0.1 is taken by {holder} (process {os.getpid()}):"
        " stop it or choose --tftp-port"
    )


def test_an_address_nobody_here_has_is_named() -> None:
    with pytest.raises(CannotServe, match=r"port 0 on 192\.0\.2\.1 .* no interface here"):
        udp.bind("192.0.2.1", 0, option="--port")
