from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.server.netlink import attributes, messages


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def test_messages_begin_at_multiples_of_four() -> None:
    first, second = _message(20, b"abcde"), _message(3, b"")
    assert list(messages(first + bytes(3) + second)) == [(20, b"abcde"), (3, b"")]


def test_attributes_begin_at_multiples_of_four() -> None:
    first, second = _attribute(3, b"lan0\0"), _attribute(1, b"abcd")
    assert attributes(first + bytes(3) + second) == {3: b"lan0\0", 1: b"abcd"}


def test_a_part_without_length_ends_the_reading() -> None:
    assert list(messages(bytes(40))) == []
    assert attributes(bytes(8)) == {}


@given(st.binary(max_size=80))
@example(b"\x11\0\0\0" + bytes(12))
def test_any_bytes_are_read_to_an_end(data: bytes) -> None:
    assert len(list(messages(data))) <= len(data) // 16
    assert len(attributes(data)) <= len(data) // 4
