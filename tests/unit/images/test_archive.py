from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.archive import archive_members, read_chunks, read_places
from tests.images_factory import Entry, file, hardlink, symlink, tar_of


def written(path: Path, *entries: Entry) -> Path:
    path.write_bytes(tar_of(entries))
    return path


def content(path: Path, name: str) -> bytes:
    return b"".join(read_chunks(archive_members(path, read_places(path)), name))


def test_a_file_is_read_in_place_and_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar", file("one", b"1" * 3000), file("./dir/two", b"2"))
    assert content(path, "one") == b"1" * 3000
    open_member = archive_members(path, read_places(path))
    for _ in range(2):
        with open_member("dir/two") as member:
            assert (member.read(1), member.read()) == (b"2", b"")


def test_links_of_both_kinds_lead_to_their_file(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.tar",
        file("a/layer.tar", b"x"),
        symlink("b/layer.tar", "../a/layer.tar"),
        hardlink("c/layer.tar", "b/layer.tar"),
    )
    assert content(path, "b/layer.tar") == content(path, "c/layer.tar") == b"x"


@pytest.mark.parametrize("target", ["b", "c", "../../etc/passwd", "/etc/passwd"])
def test_links_lead_nowhere_else(tmp_path: Path, target: str) -> None:
    path = written(tmp_path / "a.tar", symlink("b", target), symlink("c", "b"))
    with pytest.raises(ImageProblem, match="it lacks c: the copy is not complete"):
        content(path, "c")


@pytest.mark.parametrize(
    ("pack", "name", "program"),
    [
        (gzip.compress, "gzip", "gunzip"),
        (bz2.compress, "bzip2", "bunzip2"),
        (lzma.compress, "xz", "unxz"),
        (zstandard.ZstdCompressor().compress, "zstd", "unzstd"),
    ],
)
def test_a_packed_archive_names_the_program_that_unpacks_it(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str, program: str
) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(pack(tar_of([file("x")])))
    with pytest.raises(ImageProblem, match=f"compressed with {name}: unpack it with `{program}`"):
        read_places(path)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ImageProblem, match="there is no such file"):
            read_places(path)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(ImageProblem, match="a header of 1073741824 bytes"):
        read_places(tmp_path / "a.tar")


@given(st.binary(max_size=3000))
@example(b"")
@example(bytes(1024))
def test_arbitrary_bytes_are_places_or_an_image_problem(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(ImageProblem):
        file.write(data)
        file.flush()
        read_places(Path(file.name))
