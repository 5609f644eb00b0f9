from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable

import pytest
import zstandard

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.squashfs_format import Metadata, exactly, read_superblock, unpacker

PACKERS: dict[int, Callable[[bytes], bytes]] = {
    1: zlib.compress,
    4: lzma.compress,
    6: zstandard.ZstdCompressor().compress,
}
BOMB = bytes(64 << 20)


@pytest.mark.parametrize("compressor", PACKERS)
def test_a_block_is_unpacked(compressor: int) -> None:
    assert unpacker(compressor)(PACKERS[compressor](b"block"), 5) == b"block"


@pytest.mark.parametrize("compressor", PACKERS)
def test_a_bomb_is_unpacked_no_further_than_a_block(compressor: int) -> None:
    try:
        assert len(unpacker(compressor)(PACKERS[compressor](BOMB), 8192)) == 8192
    except ValueError as error:
        assert "more than 8192 bytes" in str(error)  # noqa: PT017


def test_a_superblock_that_is_cut_off_is_none() -> None:
    with pytest.raises(ImageProblem, match="it is no squashfs"):
        read_superblock(b"hsqs" + bytes(91))


def stored(data: bytes) -> bytes:
    return (len(data) | 0x8000).to_bytes(2, "little") + data


def table(*blocks: bytes) -> Metadata:
    return Metadata(io.BytesIO(b"--" + b"".join(map(stored, blocks))), unpacker(1), 2)


def test_metadata_is_one_stream_from_any_block() -> None:
    blocks = table(b"abc", b"de", b"fgh")
    assert blocks.read(0, 1, 2) == b"bc"
    assert blocks.read(0, 2, 5) == b"cdefg"
    assert blocks.read(5, 0, 2) == b"de"


def test_an_offset_beyond_its_block_counts_on_in_the_next() -> None:
    assert table(b"abc", b"de", b"fgh").read(0, 5, 2) == b"fg"


@pytest.mark.parametrize("block", [b"", bytes(8193)])
def test_blocks_of_metadata_have_a_size_that_fits(block: bytes) -> None:
    with pytest.raises(ValueError, match="bytes of metadata"):
        table(block).read(0, 0, 1)


def test_reading_beyond_the_end_says_so() -> None:
    with pytest.raises(EOFError):
        table(b"abc").read(0, 0, 4)
    with pytest.raises(EOFError):
        exactly(io.BytesIO(b"abc"), 1 << 63, 1)
