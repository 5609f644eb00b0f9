from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.options import decode_options, encode_options
from kairos_netboot.errors import MalformedPacket

OPTIONS = st.dictionaries(st.integers(1, 254), st.binary(max_size=600), max_size=8)


@given(OPTIONS)
@example({43: b""})
@example({43: b"x" * 255})
@example({43: b"x" * 256})
@example({43: b"x" * 510})
def test_what_is_encoded_is_decoded(options: dict[int, bytes]) -> None:
    assert decode_options(encode_options(options)) == options


@given(st.binary(max_size=600))
@example(b"\x35")
@example(b"\x35\x05\x01")
def test_arbitrary_bytes_raise_nothing_but_malformed_packet(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        decode_options(data)


def test_a_long_option_is_split_and_joined() -> None:
    encoded = encode_options({43: b"a" * 300})
    assert encoded[:2] == bytes((43, 255))
    assert encoded[257:259] == bytes((43, 45))
    assert decode_options(encoded) == {43: b"a" * 300}


def test_padding_is_skipped_and_nothing_is_read_after_the_end() -> None:
    assert decode_options(b"\0\0\x35\x01\x01\xff\x36\x01\x09") == {53: b"\x01"}


def test_a_missing_end_is_forgiven() -> None:
    assert decode_options(b"\x35\x01\x01") == {53: b"\x01"}


def test_an_option_over_the_end_is_malformed() -> None:
    with pytest.raises(MalformedPacket, match="option 53"):
        decode_options(b"\x35\x05\x01")
