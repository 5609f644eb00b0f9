from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.options import decode_options
from kairos_netboot.dhcp.packet import MessageType, Op, Packet, decode, encode, room_for
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


def _discover(**changes: object) -> Packet:
    fields: dict[str, object] = {
        "op": Op.REQUEST,
        "xid": 7,
        "hardware_address": bytes.fromhex("525400123456"),
        "options": {53: b"\x01"},
    }
    return Packet(**{**fields, **changes})  # type: ignore[arg-type]


@given(PACKETS)
def test_what_is_encoded_is_decoded(packet: Packet) -> None:
    assert decode(encode(packet, room=4000)) == packet


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
    data = bytearray(encode(packet, room=4000))
    data[at % len(data)] = byte
    with contextlib.suppress(MalformedPacket):
        decode(bytes(data))


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
    data = bytearray(encode(_discover(options={53: b"\x01", 252: b"\x03"})))
    data[243] = 52  # the code behind option 53
    data[44:48] = bytes((67, 2)) + b"bc"  # sname
    data[108:115] = bytes((67, 1)) + b"a" + bytes((60, 1)) + b"P" + b"\xff"  # file comes first
    packet = decode(bytes(data))
    assert packet.options == {53: b"\x01", 67: b"abc", 60: b"P"}
    assert packet.server_name == packet.boot_file == b""


def test_option_52_means_nothing_in_a_field_that_it_has_opened() -> None:
    data = bytearray(encode(_discover(options={53: b"\x01", 252: b"\x01"})))
    data[243] = 52
    data[108:112] = bytes((52, 1, 2, 255))
    assert decode(bytes(data)).options == {53: b"\x01"}


LARGE = {53: b"\x02", 54: b"abcd", 43: b"v" * 280}


@given(PACKETS, st.integers(300, 1472))
@example(_discover(options=LARGE), 548)
@example(_discover(options={**LARGE, 82: b"r" * 40}), 548)
@example(_discover(options=LARGE, server_name=b"192.0.2.2", boot_file=b"boot"), 548)
def test_no_answer_is_longer_than_its_client_takes(packet: Packet, room: int) -> None:
    with contextlib.suppress(MalformedPacket):
        assert len(encode(packet, room=room)) <= room


@given(PACKETS, st.integers(300, 1472))
@example(_discover(options={**LARGE, 121: b"r" * 60}), 548)
def test_what_is_squeezed_is_decoded_whole(packet: Packet, room: int) -> None:
    packet = replace(packet, server_name=b"", boot_file=b"")
    with contextlib.suppress(MalformedPacket):
        assert decode(encode(packet, room=room)) == packet


def test_options_without_room_go_on_in_file_then_in_sname() -> None:
    packet = _discover(options={**LARGE, 15: b"d" * 100, 12: b"h" * 50})
    data = encode(packet, room=548)
    assert data[108:110] == bytes((15, 100))
    assert data[44:46] == bytes((12, 50))
    assert bytes((52, 1, 3)) in data[240:]
    assert decode(data) == packet


def test_a_header_that_is_free_is_left_alone_where_there_is_room() -> None:
    data = encode(_discover(options=LARGE), room=548)
    assert data[44:236] == bytes(192)
    assert 52 not in decode_options(data[240:])


def test_an_option_is_split_over_places_only_where_none_holds_it_whole() -> None:
    packet = _discover(options={53: b"\x02", 43: b"v" * 400})
    data = encode(packet, room=548)
    assert data[108] == 43
    assert decode(data) == packet


def test_a_name_makes_way_for_options_and_becomes_one() -> None:
    options = {**LARGE, 12: b"h" * 30}
    data = encode(_discover(options=options, server_name=b"192.0.2.2", boot_file=b"b"), room=548)
    packet = decode(data)
    assert packet.options == {**options, 66: b"192.0.2.2"}
    assert (packet.server_name, packet.boot_file) == (b"", b"b")


def test_the_relays_option_stays_the_last_of_its_own_field() -> None:
    data = encode(_discover(options={**LARGE, 12: b"h" * 50, 82: b"r" * 20}), room=548)
    assert data.rstrip(b"\0").endswith(bytes((82, 20)) + b"r" * 20 + b"\xff")


def test_what_fits_nowhere_is_refused() -> None:
    with pytest.raises(MalformedPacket, match="longer than 548"):
        encode(_discover(options={43: b"v" * 600}), room=548)


@pytest.mark.parametrize(
    ("stated", "room"),
    [
        (b"", 548),  # RFC 2131: everybody takes a datagram of 576 bytes
        (b"\x02\x40", 548),  # U-Boot
        (b"\x01\x00", 548),  # less than the RFC allows
        (b"\x04\xec", 1232),  # BIOS ROMs: 1260
        (b"\x05\xc0", 1444),  # EDK2, iPXE: 1472
        (b"\xff\x00", 1472),  # EDK2's REQUEST
        (b"\x05", 548),
    ],
)
def test_a_client_says_how_much_it_takes(stated: bytes, room: int) -> None:
    assert room_for(_discover(options={53: b"\x01", 57: stated} if stated else {})) == room


@pytest.mark.parametrize("code", [0, 255, 256, -1])
def test_no_option_has_the_code_of_padding_or_end(code: int) -> None:
    with pytest.raises(MalformedPacket, match="code"):
        encode(_discover(options={code: b""}))


@pytest.mark.parametrize("field", [{"hardware_address": b"x" * 17}, {"xid": 1 << 32}, {"secs": -1}])
def test_a_field_too_large_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(MalformedPacket):
        encode(_discover(**field))


def test_a_name_that_does_not_fit_is_refused() -> None:
    assert len(encode(_discover(boot_file=b"x" * 127))) == 300
    with pytest.raises(MalformedPacket):
        encode(_discover(boot_file=b"x" * 128))


def test_a_bad_cookie_is_malformed() -> None:
    data = bytearray(encode(_discover()))
    data[236] = 0
    with pytest.raises(MalformedPacket, match="cookie"):
        decode(bytes(data))
