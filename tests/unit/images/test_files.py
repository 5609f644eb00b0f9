from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

import pytest
import zstandard

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.files import GivenParts, take_files
from kairos_netboot.images.reference import FilesReference

ROOTFS = (Path(__file__).parent / "captures" / "zstd.squashfs").read_bytes()
KERNEL = bytes(0x202) + b"HdrS" + bytes(5000)
INITRD = b"070701" + bytes(5000)


def no_download(url: str, path: Path) -> None:
    raise AssertionError(f"nobody asked for {url}")


def take(
    directory: Path, *, kernel: bytes = KERNEL, initrd: bytes = INITRD, rootfs: bytes = ROOTFS
) -> GivenParts:
    given, scratch = directory / "given", directory / "scratch"
    for folder in (given, scratch):
        folder.mkdir(exist_ok=True)
    for name, data in (("kernel", kernel), ("initrd", initrd), ("rootfs", rootfs)):
        (given / name).write_bytes(data)
    return take_files(reference(given), scratch, no_download)


def rootfs_of(directory: Path, rootfs: bytes) -> Path:
    path = take(directory, rootfs=rootfs).rootfs
    assert path
    return path


def reference(given: Path) -> FilesReference:
    return FilesReference(
        kernel=str(given / "kernel"), initrd=str(given / "initrd"), rootfs=str(given / "rootfs")
    )


def test_copies_are_taken_and_the_originals_left(tmp_path: Path) -> None:
    parts = take(tmp_path)
    assert parts.kernel.read_bytes() == KERNEL
    assert parts.initrd.read_bytes() == INITRD
    assert parts.rootfs
    assert parts.rootfs.read_bytes() == ROOTFS
    assert parts.format == ""
    assert sorted(path.name for path in (tmp_path / "given").iterdir()) == [
        "initrd",
        "kernel",
        "rootfs",
    ]


def test_urls_are_downloaded(tmp_path: Path) -> None:
    def download(url: str, path: Path) -> None:
        path.write_bytes(served[url])

    served = {"http://x/k": KERNEL, "https://x/i?a=b": INITRD, "http://x/r": ROOTFS}
    parts = take_files(
        FilesReference(kernel="http://x/k", initrd="https://x/i?a=b", rootfs="http://x/r"),
        tmp_path,
        download,
    )
    assert parts.rootfs
    assert parts.rootfs.read_bytes() == ROOTFS


def test_without_a_rootfs_nothing_is_asked_of_it(tmp_path: Path) -> None:
    take(tmp_path)
    only = FilesReference(
        kernel=str(tmp_path / "given/kernel"), initrd=str(tmp_path / "given/initrd")
    )
    (tmp_path / "other").mkdir()
    assert take_files(only, tmp_path / "other", no_download).rootfs is None


ISO = bytes(0x8001) + b"CD001" + bytes(5000)


@pytest.mark.parametrize(
    ("rootfs", "kind"), [(INITRD, "cpio"), (gzip.compress(INITRD), "cpio"), (ISO, "iso")]
)
def test_other_systems_rootfs_are_known_for_what_they_are(
    tmp_path: Path, rootfs: bytes, kind: str
) -> None:
    parts = take(tmp_path, rootfs=rootfs)
    assert parts.format == kind
    assert parts.rootfs
    assert parts.rootfs.read_bytes() == rootfs


@pytest.mark.parametrize(
    "initrd",
    [
        gzip.compress(INITRD),
        zstandard.ZstdCompressor().compress(INITRD),
        lzma.compress(INITRD),
        lzma.compress(INITRD, format=lzma.FORMAT_ALONE),
        b"\x02\x21\x4c\x18" + bytes(10),
        bytes(512) + INITRD,
    ],
)
def test_initrds_are_known_as_linux_knows_them(tmp_path: Path, initrd: bytes) -> None:
    assert take(tmp_path, initrd=initrd).initrd.read_bytes() == initrd


PAGE = b"<!DOCTYPE html><title>Log in</title>"


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (b"", "kernel is no kernel: it is empty"),
        (PAGE, "kernel is no kernel: it begins like a web page"),
        (ROOTFS, "kernel is no kernel: it is a squashfs"),
        (INITRD, r"kernel is no kernel: it begins with b'070701"),
    ],
)
def test_what_is_no_kernel_is_named(tmp_path: Path, kernel: bytes, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        take(tmp_path, kernel=kernel)


@pytest.mark.parametrize("initrd", [b"", PAGE, ROOTFS, KERNEL, b"\x04\x22\x4d\x18"])
def test_what_is_no_initrd_is_named(tmp_path: Path, initrd: bytes) -> None:
    with pytest.raises(ImageProblem, match=r"given/initrd is no initrd, neither cpio nor packed"):
        take(tmp_path, initrd=initrd)


@pytest.mark.parametrize(
    ("rootfs", "words"),
    [
        (b"", "given/rootfs: it is no squashfs, it is empty"),
        (PAGE, "given/rootfs: it is no squashfs, it begins like a web page"),
        (ROOTFS[:-1], "given/rootfs is cut off: it has 3885 bytes of 3886: get it again"),
    ],
)
def test_what_is_no_whole_squashfs_is_named(tmp_path: Path, rootfs: bytes, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        take(tmp_path, rootfs=rootfs)


def test_a_squashfs_may_be_padded(tmp_path: Path) -> None:
    assert rootfs_of(tmp_path, ROOTFS + bytes(210)).stat().st_size == 4096


def test_what_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="given/kernel: there is no such file"):
        take_files(reference(tmp_path / "given"), tmp_path, no_download)
    (tmp_path / "given").mkdir()
    os.mkfifo(tmp_path / "given" / "kernel")
    with pytest.raises(ImageProblem, match="given/kernel is no file"):
        take_files(reference(tmp_path / "given"), tmp_path, no_download)
