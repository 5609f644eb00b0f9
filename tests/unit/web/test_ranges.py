from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.web.ranges import ByteRange, byte_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 4)),
        ("bytes=2-", ByteRange(2, 8)),
        ("bytes=2-99", ByteRange(2, 8)),
        ("bytes=-3", ByteRange(7, 3)),
        ("bytes=-99", ByteRange(0, 10)),
        ("bytes=-0", ByteRange(10, 0)),
        ("bytes=10-", ByteRange(10, 0)),
        ("bytes=99-100", ByteRange(99, 0)),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=0x1-5", None),
    ],
)
def test_a_range_of_ten_bytes(header: str, expected: ByteRange | None) -> None:
    assert byte_range(header, 10) == expected


@given(st.text(max_size=40), st.integers(0, 100))
def test_no_header_leads_out_of_the_file(header: str, size: int) -> None:
    part = byte_range(header, size)
    assert part is None or part.count == 0 or 0 <= part.start < part.start + part.count <= size


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 100))
def test_every_range_is_the_slice_it_names(first: int, last: int, size: int) -> None:
    part = byte_range(f"bytes={first}-{last}", size)
    data = bytes(range(size))
    if first > last:
        assert part is None
    else:
        assert part is not None
        assert data[part.start : part.start + part.count] == data[first : last + 1]
