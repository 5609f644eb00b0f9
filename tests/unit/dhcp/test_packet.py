from __future__ import annotations

import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.packet import MessageType, Op, Packet, decode, encode
from kairos_netboot.errors import MalformedPacket
from kairos_netboot.values import Mac

ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
NAMES = st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b""))
PACKETS = st.builds(
    Packet,
    op=st.sampled_from(Op),
    xid=st.integers(0, 2**32 - 1),
    hardware_address=st.binary(max_size=16),
    hardware_type=st.integers(0, 255),
    hops=st.integers(0, 255),
    secs=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    client_address=ADDRESSES,
    your_address=ADDRESSES,
    next_server=ADDRESSES,
    relay=ADDRESSES,
    server_name=NAMES,
    boot_file=NAMES,
    # 52 says that options lie elsewhere: it is about the bytes, not a value.
    options=st.dictionaries(
        st.integers(1, 254).filter(lambda code: code != 52), st.binary(max_size=300), max_size=5
    ),
)


@given(PACKETS)
def test_what_is_encoded_is_decoded(packet: Packet) -> None:
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=700))
@example(b"\x01" + bytes(239))
@example(b"\x01\x01\x11" + bytes(233) + b"\x63\x82\x53\x63")
def test_arbitrary_bytes_raise_nothing_but_malformed_packet(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        decode(data)


@given(PACKETS, st.integers(0, 599), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_but_malformed_packet(
    packet: Packet, at: int, byte: int
) -> None:
    data = bytearray(encode(packet))
    data[at % len(data)] = byte
    with contextlib.suppress(MalformedPacket):
        decode(bytes(data))


def _discover(**changes: object) -> Packet:
    fields: dict[str, object] = {
        "op": Op.REQUEST,
        "xid": 7,
        "hardware_address": bytes.fromhex("525400123456"),
        "options": {53: b"\x01"},
    }
    return Packet(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_message_is_never_shorter_than_bootp() -> None:
    assert len(encode(_discover())) == 300


def test_the_client_is_its_mac() -> None:
    assert _discover().mac == Mac("52:54:00:12:34:56")


def test_a_client_that_is_no_ethernet_device_has_no_mac() -> None:
    assert _discover(hardware_type=32).mac is None
    assert _discover(hardware_address=b"\x01" * 8).mac is None


def test_the_message_type_is_named() -> None:
    assert _discover().message_type is MessageType.DISCOVER
    assert _discover(options={}).message_type is None
    assert _discover(options={53: b"\x63"}).message_type is None
    assert _discover(options={53: b""}).message_type is None


def test_options_are_read_out_of_file_and_sname_where_option_52_says_so() -> None:
    data = bytearray(encode(_discover(options={52: b"\x03", 53: b"\x01"})))
    data[44:48] = bytes((67, 2)) + b"bc"  # sname
    data[108:115] = bytes((67, 1)) + b"a" + bytes((60, 1)) + b"P" + b"\xff"  # file comes first
    packet = decode(bytes(data))
    assert packet.options == {53: b"\x01", 67: b"abc", 60: b"P"}
    assert packet.server_name == packet.boot_file == b""


def test_a_name_that_does_not_fit_is_refused() -> None:
    assert len(encode(_discover(boot_file=b"x" * 127))) == 300
    with pytest.raises(MalformedPacket):
        encode(_discover(boot_file=b"x" * 128))


def test_a_bad_cookie_is_malformed() -> None:
    data = bytearray(encode(_discover()))
    data[236] = 0
    with pytest.raises(MalformedPacket, match="cookie"):
        decode(bytes(data))
