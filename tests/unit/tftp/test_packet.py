from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import MalformedPacket
from kairos_netboot.tftp.packet import (
    Ack,
    Data,
    ErrorPacket,
    OptionAck,
    Packet,
    ReadRequest,
    WriteRequest,
    data_packet,
    decode,
    encode,
)

# What a firmware sent, byte for byte (the first request of OVMF 2022.11, SeaBIOS' iPXE).
OVMF = b"\0\1snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0"
IPXE = b"\0\1/boot/undionly.kpxe\0octet\0blksize\x001432\0tsize\x000\0"

# Surrogates cannot be encoded, and NUL ends a text.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
names = texts.map(lambda name: name.replace("\\", "/").lstrip("/"))
option_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
options = st.dictionaries(option_names, texts.filter(lambda text: len(text) < 12), max_size=3)
words = st.integers(0, 65535)
packets: st.SearchStrategy[Packet] = st.one_of(
    st.builds(ReadRequest, name=names, mode=st.sampled_from(["octet", "mail"]), options=options),
    st.builds(WriteRequest, name=names, options=options),
    st.builds(Data, block=words, payload=st.binary(max_size=1468)),
    st.builds(Ack, block=words),
    st.builds(ErrorPacket, code=words, message=texts),
    st.builds(OptionAck, options=options.filter(bool)),
)


@given(packets)
@example(Data(block=65535, payload=b""))
@example(Data(block=0, payload=bytes(65464)))
@example(Ack(block=0))
@example(ErrorPacket(code=0, message=""))
@example(OptionAck(options={"blksize": "8"}))
@example(ReadRequest(name="", mode="octet"))
def test_every_packet_survives_the_wire(packet: Packet) -> None:
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=600))
@example(b"")
@example(b"\0")
@example(b"\0\1")
@example(b"\0\4\0")
@example(b"\0\6\0\0")
@example(b"\0\1\0\0")
@example(b"\0\5\0\1\xff\xfe")
def test_any_bytes_raise_malformed_packet_or_nothing(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        decode(data)


@given(st.sampled_from([1, 2, 3, 4, 5, 6]), st.binary(max_size=600))
def test_any_bytes_behind_an_operation_raise_malformed_packet_or_nothing(
    opcode: int, rest: bytes
) -> None:
    with contextlib.suppress(MalformedPacket):
        decode(bytes([0, opcode]) + rest)


def test_the_request_of_a_uefi_firmware_is_read() -> None:
    assert decode(OVMF) == ReadRequest(
        name="snponly.efi",
        mode="octet",
        options={"tsize": "0", "blksize": "1468", "windowsize": "4"},
    )


def test_slashes_in_front_of_a_name_are_dropped() -> None:
    assert decode(IPXE) == ReadRequest(
        name="boot/undionly.kpxe", options={"blksize": "1432", "tsize": "0"}
    )


@pytest.mark.parametrize("asked", [b"\\boot\\bcd", b"//boot/bcd", b"\\/boot\\bcd"])
def test_a_windows_path_becomes_one_with_slashes(asked: bytes) -> None:
    assert decode(b"\0\1" + asked + b"\0octet\0") == ReadRequest(name="boot/bcd")


def test_mode_and_option_names_are_read_in_any_case() -> None:
    read = decode(b"\0\1f\0OcTeT\0BLKSIZE\x001024\0TSize\x000\0")
    assert read == ReadRequest(name="f", options={"blksize": "1024", "tsize": "0"})


def test_an_option_given_twice_counts_as_not_given() -> None:
    read = decode(b"\0\1f\0octet\0blksize\x008\0tsize\x000\0BlkSize\x0016\0")
    assert read == ReadRequest(name="f", options={"tsize": "0"})


def test_an_option_without_a_value_is_left_out() -> None:
    assert decode(b"\0\1f\0octet\0tsize\x000\0blksize\0") == ReadRequest(
        name="f", options={"tsize": "0"}
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 50])
def test_zero_bytes_behind_a_request_are_padding(count: int) -> None:
    assert decode(b"\0\1f\0octet\0" + bytes(count)) == ReadRequest(name="f")


def test_a_utf_8_name_is_read() -> None:
    assert decode("\0\1größe\0octet\0".encode()) == ReadRequest(name="größe")


def test_a_latin_1_name_is_read() -> None:
    assert decode("\0\1größe\0octet\0".encode("latin-1")) == ReadRequest(name="größe")


def test_options_without_their_final_nul_are_malformed() -> None:
    with pytest.raises(MalformedPacket, match="without its final NUL"):
        decode(b"\0\1f\0octet\0blksize\x00512")


def test_a_request_without_a_mode_is_malformed() -> None:
    with pytest.raises(MalformedPacket, match="without a transfer mode"):
        decode(b"\0\1file\0")


def test_a_request_has_at_most_512_bytes() -> None:
    head, tail = b"\0\1", b"\0octet\0"
    longest = head + b"x" * (512 - len(head) - len(tail)) + tail
    assert isinstance(decode(longest), ReadRequest)
    with pytest.raises(MalformedPacket, match="at most 512 bytes, not 513"):
        decode(head + b"x" + longest[2:])


def test_an_ack_of_three_bytes_is_malformed() -> None:
    with pytest.raises(MalformedPacket, match="not 3"):
        decode(b"\0\4\0")


def test_a_padded_ack_is_an_ack() -> None:
    assert decode(b"\0\4\0\7" + bytes(20)) == Ack(block=7)


def test_an_error_without_its_final_nul_is_an_error() -> None:
    assert decode(b"\0\5\0\x08stop") == ErrorPacket(code=8, message="stop")


@pytest.mark.parametrize("opcode", [0, 7, 255, 256, 65535])
def test_an_unknown_operation_is_malformed(opcode: int) -> None:
    with pytest.raises(MalformedPacket, match=f"no operation {opcode}"):
        decode(opcode.to_bytes(2, "big") + b"\0\0")


def test_a_data_packet_is_made_from_a_view_without_a_copy_first() -> None:
    assert data_packet(258, memoryview(b"abc")) == b"\0\3\1\2abc"
