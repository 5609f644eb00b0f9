from __future__ import annotations

import contextlib
import struct
from ipaddress import ip_address

from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.server.neighbours import is_last, mac_at, read_table

MAC = bytes.fromhex("525400000001")
STALE, INCOMPLETE, NO_ARP = 0x04, 0x01, 0x40


def message(address: bytes, card: bytes = MAC, state: int = STALE, kind: int = 28) -> bytes:
    """A netlink message as Linux sends it, its attributes padded to four bytes."""
    body = struct.pack("@B3xiHBB", 2, 7, state, 0, 1)
    for number, value in ((1, address), (2, card)):
        body += struct.pack("@HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
    return struct.pack("@IHHII", 16 + len(body), kind, 0, 1, 0) + body


ENTRY = message(bytes([192, 0, 2, 7]))
DONE = struct.pack("@IHHIIi", 20, 3, 0, 1, 0, 0)


def test_each_entry_has_an_address_a_card_and_an_interface() -> None:
    data = ENTRY + message(ip_address("fe80::1").packed, bytes(5) + b"\1") + DONE
    assert list(read_table(data)) == [
        (ip_address("192.0.2.7"), "52:54:00:00:00:01", 7),
        (ip_address("fe80::1"), "00:00:00:00:00:01", 7),
    ]


def test_entries_that_nobody_has_answered_for_do_not_count() -> None:
    for state in (INCOMPLETE, NO_ARP, 0x20):
        assert list(read_table(message(bytes(4), state=state))) == []


def test_a_tunnel_s_neighbour_has_no_mac() -> None:
    assert list(read_table(message(bytes(4), card=bytes(4)))) == []
    assert list(read_table(message(bytes(4), card=b""))) == []


def test_the_table_ends_with_its_last_message() -> None:
    assert is_last(ENTRY + DONE)
    assert not is_last(ENTRY)


def test_nobody_is_known_behind_loopback() -> None:
    assert mac_at("127.0.0.1") is None
    assert mac_at("::1", "lo") is None
    assert mac_at("127.0.0.1", "no-such-interface") is None


@given(st.binary(max_size=200))
@example(bytes(16))
@example(ENTRY[:-3])
@example(ENTRY[:16] + b"\0" * 20)
def test_no_datagram_breaks_the_reader(data: bytes) -> None:
    with contextlib.suppress(StopIteration):
        list(read_table(data))
    is_last(data)
