"""Headers read at once, against what the standard library reads."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kairos_netboot.images.members import StrictInfo, members
from tests.images_factory import file, folder, hardlink, symlink, tar_of

READ = ("name", "mode", "uid", "gid", "size", "mtime", "type", "linkname", "pax_headers")
TYPES = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.AREGTYPE]
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=90)


def facts(info: tarfile.TarInfo) -> dict[str, object]:
    return {name: getattr(info, name) for name in READ}


def signed(block: bytes) -> bytes:
    """With a checksum that is right."""
    total = sum(block[:148] + b" " * 8 + block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


def by_the_library(block: bytes) -> dict[str, object] | None:
    try:
        return facts(tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape"))
    except tarfile.HeaderError:
        return None


@given(NAMES, NAMES, st.sampled_from(TYPES), st.integers(0, 2**33 - 1), st.integers(0, 0o7777777))
@example("a/", "", tarfile.DIRTYPE, 0, 0)
@example("/", "", tarfile.DIRTYPE, 0, 0)
def test_an_ordinary_header_is_read_as_the_library_reads_it(
    name: str, link: str, kind: bytes, size: int, number: int
) -> None:
    assume(len(name.encode()) <= 100 and len(link.encode()) <= 100)  # longer ones are in two
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    info.mode, info.uid, info.gid, info.mtime = number & 0o7777, number, number // 2, size
    block = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    read = StrictInfo.ordinary(block)
    assert read is None or facts(read) == by_the_library(block)
    assert (read is not None) == (block.isascii() and kind in TYPES[:4])


@given(st.integers(0, 511), st.binary(min_size=1, max_size=12), st.booleans())
@example(124, b"-0000001000\0", True)  # a size below zero
@example(100, b"00_07_7\0", True)
@example(124, b"\0" * 12, True)
@example(148, b"0000000\0", False)
@example(328, b"\0\1", True)  # a device that is no number
def test_any_header_is_read_as_the_library_reads_it_or_left_to_it(
    at: int, change: bytes, right: bool
) -> None:
    block = bytearray(tar_of([file("dir/name", b"x" * 600)])[:512])
    block[at : at + len(change)] = change
    del block[512:]
    assume(len(block) == 512)
    data = signed(bytes(block)) if right else bytes(block)
    read = StrictInfo.ordinary(data)
    assert read is None or facts(read) == by_the_library(data)


def test_a_long_path_in_two_parts_is_one() -> None:
    path = "d" * 90 + "/" + "n" * 90
    block = tar_of([file(path)], tarfile.USTAR_FORMAT)[:512]
    read = StrictInfo.ordinary(block)
    assert read is not None
    assert read.name == path


def names(tar: bytes) -> list[str]:
    return [member.name for member, _ in members(io.BytesIO(tar))]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_entries_of_every_dialect_come_one_after_the_other(form: int) -> None:
    listed = [folder("d"), file("d/f", b"x" * 1000), symlink("d/s", "f"), hardlink("d/h", "d/f")]
    assert names(tar_of(listed, form)) == ["d", "d/f", "d/s", "d/h"]


def test_a_global_header_holds_for_ordinary_ones_too() -> None:
    header = tarfile.TarInfo.create_pax_global_header({"SCHILY.xattr.user.x": "v"})
    found = [member.pax_headers for member, _ in members(io.BytesIO(header + tar_of([file("f")])))]
    assert found == [{"SCHILY.xattr.user.x": "v"}]


def test_the_stream_stands_at_the_data_of_each_entry() -> None:
    tar = tar_of([file("a", b"one"), file("b" * 150, b"two")])
    assert [data.read(3) for _, data in members(io.BytesIO(tar))] == [b"one", b"two"]


def long_names(count: int) -> Iterator[bytes]:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512 * 200
    for _ in range(count):
        yield info.tobuf(tarfile.GNU_FORMAT) + bytes(info.size)


def sparse(pieces: int) -> bytes:
    table = f"{pieces}\n" + "".join(f"{n * 20}\n10\n" for n in range(pieces))
    body = table.encode().ljust(-(-len(table) // 512) * 512, b"\0")
    info = tarfile.TarInfo("GNUSparseFile.0/holes")
    info.size = len(body) + 10 * pieces
    kept = {"major": "1", "minor": "0", "name": "holes", "realsize": str(20 * pieces)}
    info.pax_headers = {f"GNU.sparse.{key}": text for key, text in kept.items()}
    data = bytes(-(-10 * pieces // 512) * 512)
    return info.tobuf(tarfile.PAX_FORMAT) + body + data + tar_of([])


def test_the_table_of_a_sparse_file_is_bounded_like_a_header() -> None:
    assert names(sparse(1000)) == ["holes"]
    with pytest.raises(tarfile.ReadError, match="a header of"):
        names(sparse(200_000))


def test_headers_upon_headers_are_bounded_together() -> None:
    with pytest.raises(tarfile.ReadError, match="a header of"):
        names(b"".join(long_names(20)) + tar_of([file("f")]))
