"""Byte ranges of RFC 9110, section 14, as far as boot firmware and curl use them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`start` and `count` in bytes; a count of 0 for a range outside the file."""

    start: int
    count: int


def byte_range(header: str, size: int) -> ByteRange | None:
    """The part asked for; None means the whole file.

    A malformed header or several ranges count as none: a server may ignore Range (14.2), and
    a whole file is what every client can use.
    """
    match = _ONE_RANGE.fullmatch(header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        count = min(int(last), size)
        return ByteRange(size - count, count)
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return ByteRange(start, max(end - start, 0))
