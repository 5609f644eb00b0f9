"""Whether an address is used, by sockets in memory: one end is the probe's, the other the net."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address

import pytest

from kairos_netboot.server import probe
from kairos_netboot.server.probe import Probe

ADDRESS = IPv4Address("192.0.2.10")
CLIENT, SQUATTER, OURS = (bytes.fromhex(f"52540000000{n}") for n in (1, 2, 3))
_ARP_HEAD = bytes.fromhex("0001080006040002")
_HEADER = bytes.fromhex("450000240000000040010000")


class Net(socket.socket):
    """A packet socket whose sends stay in memory."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.sent: list[tuple[bytes, object]] = []
        self.broken = False

    def sendto(self, data: bytes, where: object) -> int:  # type: ignore[override]
        if self.broken:
            raise OSError(100, "Network is down")
        self.sent.append((data, where))
        return len(data)


@pytest.fixture
def ends() -> Iterator[tuple[Net, socket.socket]]:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    mine.setblocking(False)
    with closing(Net(mine)) as net, closing(theirs):
        yield net, theirs


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_ARP_SECONDS", 0.05)
    monkeypatch.setattr(probe, "_ECHO_SECONDS", 0.05)
    monkeypatch.setattr(probe, "_card_of", lambda _: OURS)


def arp(card: bytes, address: IPv4Address = ADDRESS) -> bytes:
    return _ARP_HEAD + card + address.packed + OURS + bytes(4)


def echo(address: IPv4Address = ADDRESS, kind: int = 0) -> bytes:
    return _HEADER + address.packed + bytes(4) + bytes([kind, 0, 0, 0, 0, 0, 0, 1])


def is_used(found: Probe, peer: socket.socket, *heard: bytes, interface: str = "eth0") -> bool:
    async def scene() -> bool:
        listening = asyncio.ensure_future(found.run())
        asking = asyncio.ensure_future(found.is_used(ADDRESS, interface, CLIENT))
        await asyncio.sleep(0.01)
        for data in heard:
            peer.send(data)
        used = await asking
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        return used

    return asyncio.run(scene())


def test_an_arp_answer_tells_that_an_address_is_used(ends: tuple[Net, socket.socket]) -> None:
    net, peer = ends
    assert is_used(Probe(net, None), peer, arp(SQUATTER))
    question = "000108000604" + "0001" + OURS.hex() + "00000000" + "000000000000"
    everyone = ("eth0", 0x0806, 0, 1, b"\xff" * 6)
    assert net.sent == [(bytes.fromhex(question) + ADDRESS.packed, everyone)]


def test_silence_tells_that_it_is_not(ends: tuple[Net, socket.socket]) -> None:
    net, peer = ends
    assert not is_used(Probe(net, None), peer)


@pytest.mark.parametrize(
    "heard",
    [
        arp(CLIENT),
        arp(SQUATTER, IPv4Address("192.0.2.11")),
        arp(SQUATTER)[:27],
        b"",
        b"\0\6" + arp(SQUATTER)[2:],
    ],
    ids=["the client itself", "another address", "cut off", "empty", "no Ethernet"],
)
def test_what_is_no_answer_of_somebody_else_counts_for_nothing(
    ends: tuple[Net, socket.socket], heard: bytes
) -> None:
    net, peer = ends
    assert not is_used(Probe(net, None), peer, heard)


def test_behind_a_relay_an_echo_is_asked_for(ends: tuple[Net, socket.socket]) -> None:
    net, peer = ends
    assert is_used(Probe(None, net), peer, echo(), interface="")
    [(packet, where)] = net.sent
    assert where == (str(ADDRESS), 0)
    assert (packet[0], sum(int.from_bytes(packet[i : i + 2], "big") for i in (0, 2, 4, 6))) == (
        8,
        0xFFFF,
    )


@pytest.mark.parametrize(
    "heard",
    [echo(IPv4Address("192.0.2.11")), echo(kind=3), echo()[:27], b"", b"\x4f"],
    ids=["another address", "unreachable", "cut off", "empty", "no header"],
)
def test_what_is_no_echo_counts_for_nothing(ends: tuple[Net, socket.socket], heard: bytes) -> None:
    net, peer = ends
    assert not is_used(Probe(None, net), peer, heard, interface="")


def test_where_nothing_can_be_asked_nothing_is_used(ends: tuple[Net, socket.socket]) -> None:
    net, peer = ends
    net.broken = True
    assert not is_used(Probe(net, None), peer)
    found = Probe(None, None)
    assert not found.can_try
    assert not is_used(found, peer)
