from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from kairos_netboot.boot.site import Compression
from kairos_netboot.errors import ImageProblem, StoreProblem, ToolMissing
from kairos_netboot.images.squashfs import (
    Builder,
    build,
    choose,
    command,
    find_builder,
)
from kairos_netboot.images.tree import Inode, Kind

TOP = Inode(kind=Kind.DIRECTORY, mode=0o711, uid=1, gid=2)


def test_tar2sqfs_is_preferred() -> None:
    assert find_builder(lambda name: f"/usr/bin/{name}") is Builder.TAR2SQFS


def test_mksquashfs_is_the_fallback() -> None:
    present = {"mksquashfs": "/usr/bin/mksquashfs"}
    assert find_builder(present.get) is Builder.MKSQUASHFS


def test_without_a_builder_the_package_is_named() -> None:
    with pytest.raises(ToolMissing, match="apt-get install squashfs-tools-ng"):
        find_builder(lambda name: None)


@pytest.mark.parametrize(
    ("config", "chosen"),
    [
        ("CONFIG_SQUASHFS_ZSTD=y", Compression.ZSTD),
        ("CONFIG_SQUASHFS=m\nCONFIG_SQUASHFS_ZSTD=m\n", Compression.ZSTD),
        ("# CONFIG_SQUASHFS_ZSTD is not set", Compression.GZIP),
        ("", Compression.GZIP),
    ],
)
def test_auto_takes_zstd_only_where_the_kernel_reads_it(config: str, chosen: Compression) -> None:
    assert choose(Compression.AUTO, config) is chosen


def test_a_compression_that_was_asked_for_is_taken() -> None:
    assert choose(Compression.XZ, "CONFIG_SQUASHFS_ZSTD=y") is Compression.XZ


def test_the_command_of_tar2sqfs() -> None:
    argv = command(Builder.TAR2SQFS, Compression.ZSTD, Path("out"), TOP, 2)
    assert " ".join(argv) == (
        "tar2sqfs --quiet --no-skip --num-jobs 2 -b 1048576 -c zstd -X level=3 out"
    )


def test_mksquashfs_is_told_the_root_it_would_make_up() -> None:
    argv = command(Builder.MKSQUASHFS, Compression.GZIP, Path("out"), TOP, 2)
    assert " ".join(argv) == (
        "mksquashfs - out -tar -noappend -no-progress -quiet"
        " -root-mode 711 -root-uid 1 -root-gid 2"
        " -b 1048576 -comp gzip -processors 2 -Xcompression-level 6"
    )


def test_mksquashfs_has_no_level_for_xz() -> None:
    argv = command(Builder.MKSQUASHFS, Compression.XZ, Path("out"), TOP, 2)
    assert "-Xcompression-level" not in argv


def test_the_builder_reads_what_is_fed(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def feed(pipe: BinaryIO) -> None:
        pipe.write(b"a tar" * 100_000)

    build(["sh", "-c", f"cat > {target}"], feed, 0)
    assert target.read_bytes() == b"a tar" * 100_000


def test_the_builder_is_told_the_newest_time_to_stamp_with(tmp_path: Path) -> None:
    script = f"cat > /dev/null; echo $SOURCE_DATE_EPOCH > {tmp_path}/out"
    build(["sh", "-c", script], lambda pipe: None, 1234)
    assert (tmp_path / "out").read_text() == "1234\n"


def test_a_failing_builders_last_words_are_told_and_all_are_kept() -> None:
    script = "cat > /dev/null; echo first >&2; echo no space left >&2; exit 3"
    with pytest.raises(ImageProblem, match=r"^sh failed with status 3: no space left$") as caught:
        build(["sh", "-c", script], lambda pipe: None, 0)
    assert caught.value.details == "first\nno space left\n"


@pytest.mark.parametrize("words", ["No space left on device", "writing super block: I/O error."])
def test_a_disk_that_takes_no_more_is_the_stores_problem(words: str) -> None:
    with pytest.raises(StoreProblem, match=r"^the disk is full, or fails: make room, "):
        build(["sh", "-c", f"cat > /dev/null; echo {words} >&2; exit 1"], lambda pipe: None, 0)


def test_a_builder_that_stops_reading_is_a_failure() -> None:
    with pytest.raises(ImageProblem, match="sh failed with status 0: no reason given"):
        build(["sh", "-c", "exit 0"], _write_for_ever, 0)


def _write_for_ever(pipe: BinaryIO) -> None:
    while True:
        pipe.write(bytes(1 << 16))


def test_an_error_while_feeding_ends_the_builder() -> None:
    def feed(pipe: BinaryIO) -> None:
        raise ImageProblem("layer 3 is broken")

    with pytest.raises(ImageProblem, match="layer 3 is broken"):
        build(["sh", "-c", "exec sleep 60"], feed, 0)
