from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.dhcp.options import decode_options, encode_into, encode_options
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


@given(OPTIONS, st.lists(st.integers(1, 400), min_size=1, max_size=3))
@example({43: b"x" * 20}, [12, 12, 12])
@example({43: b""}, [1, 3])
def test_fields_hold_what_they_are_given_and_no_more(
    options: dict[int, bytes], places: list[int]
) -> None:
    with contextlib.suppress(MalformedPacket):
        fields = encode_into(options, places)
        assert all(len(field) <= size for field, size in zip(fields, places, strict=True))
        joined: dict[int, bytes] = {}
        for field in fields:
            for code, value in decode_options(field).items():
                joined[code] = joined.get(code, b"") + value
        assert joined == options


def test_an_option_is_split_only_where_no_field_holds_it_whole() -> None:
    assert encode_into({12: b"abc", 15: b"de"}, [6, 6]) == [b"\x0c\x03abc\xff", b"\x0f\x02de\xff"]
    assert encode_into({12: b"abcd"}, [5, 5]) == [b"\x0c\x02ab\xff", b"\x0c\x02cd\xff"]


def test_an_option_without_room_is_refused() -> None:
    with pytest.raises(MalformedPacket, match="option 12"):
        encode_into({12: b"abcd"}, [5, 4])
