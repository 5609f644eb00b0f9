from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import MalformedPacket
from kairos_netboot.server.ipv4 import UdpPacket, decode, encode

_ADDRESSES = st.ip_addresses(v=4).map(str)
_ENDPOINTS = st.tuples(_ADDRESSES, st.integers(0, 65535))
_PACKETS = st.builds(
    UdpPacket, source=_ENDPOINTS, destination=_ENDPOINTS, data=st.binary(max_size=600)
)
PACKET = UdpPacket(source=("192.0.2.1", 67), destination=("255.255.255.255", 68), data=b"hello")


def _with(offset: int, value: bytes) -> bytes:
    raw = bytearray(encode(PACKET))
    raw[offset : offset + len(value)] = value
    return bytes(raw)


def _with_header(offset: int, value: bytes) -> bytes:
    """Changed in the IP header, whose checksum is right again."""
    raw = bytearray(_with(offset, value))
    raw[10:12] = bytes(2)
    total = sum(struct.unpack("!10H", raw[:20]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    raw[10:12] = (0xFFFF - total).to_bytes(2, "big")
    return bytes(raw)


@given(_PACKETS)
@example(UdpPacket(source=("0.0.0.0", 0), destination=("0.0.0.0", 0), data=b""))
@example(UdpPacket(source=("0.0.0.0", 68), destination=("255.255.255.255", 67), data=b"odd"))
def test_what_is_written_is_read_back(packet: UdpPacket) -> None:
    assert decode(encode(packet)) == packet


@given(_PACKETS)
@example(UdpPacket(source=("0.0.0.0", 0), destination=("0.0.122.210", 0), data=b""))  # sums to 0
def test_another_implementation_finds_the_same_checksums(packet: UdpPacket) -> None:
    from scapy.layers.inet import IP  # takes a third of a second to load

    ours = encode(packet)
    theirs = IP(ours)
    del theirs.chksum
    del theirs["UDP"].chksum
    assert bytes(theirs) == ours


@given(st.binary(max_size=100))
@example(b"")
@example(bytes(28))
@example(b"\x45" + bytes(27))
@example(b"\x4f" + bytes(60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        decode(data)


def test_ethernets_padding_is_no_part_of_it() -> None:
    assert decode(encode(PACKET) + bytes(20)) == PACKET


def test_options_of_the_ip_header_are_stepped_over() -> None:
    raw = encode(PACKET)
    head = bytearray(b"\x46" + raw[1:20] + b"\x94\x04\x00\x00")  # router alert
    head[2:4] = (len(raw) + 4).to_bytes(2, "big")
    head[10:12] = bytes(2)
    total = sum(struct.unpack("!12H", head))
    head[10:12] = (0xFFFF - ((total & 0xFFFF) + (total >> 16))).to_bytes(2, "big")
    assert decode(bytes(head) + raw[20:]) == PACKET


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encode(PACKET)[:19], "too few"),
        (encode(PACKET)[:-1], "contradicts its length"),
        (_with(0, b"\x65"), "contradicts its length"),
        (_with(0, b"\x44"), "contradicts its length"),
        (_with_header(2, b"\x00\x1b"), "contradicts its length"),
        (_with_header(9, b"\x06"), "no whole UDP"),
        (_with_header(6, b"\x20\x00"), "no whole UDP"),
        (_with_header(6, b"\x00\x01"), "no whole UDP"),
        (_with(8, b"\x01"), "checksum of an IP header"),
        (_with(24, b"\x00\x07"), "UDP length"),
        (_with(24, b"\x00\x0e"), "UDP length"),
        (_with(28, b"j"), "checksum of a UDP datagram"),
    ],
)
def test_what_contradicts_itself_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(MalformedPacket, match=said):
        decode(data)


def test_a_header_that_forbids_fragments_is_no_fragment() -> None:
    assert decode(_with_header(6, b"\x40\x00")) == PACKET


def test_a_datagram_without_checksum_is_taken() -> None:
    assert decode(_with(26, b"\0\0")) == PACKET


def test_the_sum_of_the_pseudo_header_alone_is_taken() -> None:
    """What a virtual card leaves when no real one came after it."""
    pseudo = bytes([192, 0, 2, 1]) + b"\xff" * 4 + struct.pack("!HH", 17, 13)
    total = sum(struct.unpack("!6H", pseudo))
    partial = (total & 0xFFFF) + (total >> 16)
    assert decode(_with(26, partial.to_bytes(2, "big"))) == PACKET


def test_the_kernels_word_stands_for_the_checksum() -> None:
    assert decode(_with(26, b"\x12\x34"), trusted=True) == PACKET


def test_more_than_ip_can_carry_is_refused() -> None:
    with pytest.raises(MalformedPacket, match="65508 bytes do not fit"):
        encode(UdpPacket(source=PACKET.source, destination=PACKET.destination, data=bytes(65508)))
