"""The filter, run by the kernel on a pair of sockets that nobody else can reach."""

from __future__ import annotations

import socket

import pytest

from kairos_netboot.server.ipv4 import UdpPacket, encode
from kairos_netboot.server.raw import attach, port_filter

TO_67 = encode(UdpPacket(source=("0.0.0.0", 68), destination=("255.255.255.255", 67), data=b"hi"))


def _passes(packet: bytes, port: int = 67) -> bool:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        attach(far, port_filter(port))
        near.send(packet)
        far.setblocking(False)
        try:
            return far.recv(2000) == packet
        except BlockingIOError:
            return False


def _changed(offset: int, value: bytes) -> bytes:
    return TO_67[:offset] + value + TO_67[offset + len(value) :]


def test_udp_to_the_port_passes_whole() -> None:
    assert _passes(TO_67)


def test_udp_to_another_port_does_not() -> None:
    assert not _passes(TO_67, port=68)
    assert not _passes(TO_67, port=4011)


def test_another_protocol_does_not() -> None:
    assert not _passes(_changed(9, b"\x06"))


@pytest.mark.parametrize("fragment", [b"\x20\x00", b"\x00\x01", b"\x3f\xff"])
def test_a_fragment_does_not(fragment: bytes) -> None:
    assert not _passes(_changed(6, fragment))


def test_forbidding_fragments_makes_none() -> None:
    assert _passes(_changed(6, b"\x40\x00"))


def test_options_of_the_ip_header_are_stepped_over() -> None:
    assert _passes(b"\x46" + TO_67[1:20] + b"\x94\x04\0\0" + TO_67[20:])
    assert not _passes(b"\x46" + TO_67[1:20] + TO_67[20:])


@pytest.mark.parametrize("length", [1, 9, 19, 20, 22])
def test_what_is_cut_off_does_not(length: int) -> None:
    assert not _passes(TO_67[:length])
