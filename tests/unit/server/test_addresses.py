from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv4Interface

import pytest

from kairos_netboot.server.addresses import Addresses, Own, addresses_in

LAN, SECOND, OTHER = (
    (2, IPv4Interface("192.0.2.1/24")),
    (2, IPv4Interface("198.51.100.1/24")),
    (3, IPv4Interface("203.0.113.1/24")),
)


def _known(*own: Own) -> Addresses:
    return Addresses(lambda: own)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def _address(index: int, prefix: int, *attributes: bytes, family: int = socket.AF_INET) -> bytes:
    return struct.pack("=BBBBI", family, prefix, 0, 0, index) + b"".join(attributes)


def test_an_interface_has_its_own_in_the_kernels_order() -> None:
    assert _known(LAN, OTHER, SECOND).of(2) == (LAN[1], SECOND[1])
    assert _known(LAN).of(3) == ()


def test_an_address_of_any_interface_is_ours() -> None:
    known = _known(LAN, OTHER)
    assert known.are_ours(IPv4Address("203.0.113.1"))
    assert known.are_ours(IPv4Address("127.0.0.2"))
    assert not known.are_ours(IPv4Address("192.0.2.2"))


def test_an_interface_reaches_the_networks_it_is_in() -> None:
    known = _known(LAN, SECOND, OTHER)
    assert known.reach(2, IPv4Address("198.51.100.77"))
    assert not known.reach(3, IPv4Address("198.51.100.77"))


def test_the_kernel_is_asked_once_a_second() -> None:
    now, asked = 0.0, 0

    def read() -> list[Own]:
        nonlocal asked
        asked += 1
        return [LAN]

    known = Addresses(read, lambda: now)
    known.of(2)
    now = 0.999
    known.of(2)
    assert asked == 1
    now = 1.0
    known.of(2)
    assert asked == 2


def test_what_was_known_holds_where_the_kernel_cannot_be_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, answers = 0.0, [LAN]

    def read() -> list[Own]:
        if not answers:
            raise OSError("too many open files")
        return [answers.pop()]

    known = Addresses(read, lambda: now)
    assert known.of(2) == (LAN[1],)
    now = 2.0
    assert known.of(2) == (LAN[1],)
    assert "too many open files" in caplog.text


def test_an_address_is_read_out_of_its_message() -> None:
    raw = bytes([192, 0, 2, 1])
    label = _attribute(3, b"lan\0\0\0\0\0")
    body = _address(2, 24, _attribute(1, raw), _attribute(2, raw), label)
    assert list(addresses_in(body)) == [LAN]


def test_on_a_point_to_point_link_ours_is_taken_and_not_the_other_ends() -> None:
    near, far = _attribute(2, bytes([192, 0, 2, 1])), _attribute(1, bytes([192, 0, 2, 9]))
    assert list(addresses_in(_address(2, 32, far, near))) == [(2, IPv4Interface("192.0.2.1/32"))]


@pytest.mark.parametrize(
    "body",
    [
        _address(2, 24),
        _address(2, 24, _attribute(2, b"\x01")),
        _address(2, 77, _attribute(2, bytes(4))),
        _address(2, 64, _attribute(1, bytes(16)), family=socket.AF_INET6),
        _address(2, 24, b"\0\0\0\0"),
    ],
)
def test_what_is_no_address_of_ipv4_is_left_out(body: bytes) -> None:
    assert list(addresses_in(body)) == []
