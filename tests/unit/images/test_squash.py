"""Which way layers become a squashfs, and with what compression; by the real builders."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Compression
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.layers import index_layers
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.squash import squash
from kairos_netboot.images.squashfs import Builder
from kairos_netboot.images.squashfs_reader import read_text, read_tree
from kairos_netboot.images.tree import walk
from tests.images_factory import (
    Entry,
    PackedLayer,
    file,
    hardlink,
    kairos_entries,
    layer,
    nasty_layers,
    stored,
)

GZIP, XZ, ZSTD = 1, 4, 6
NOT_PLAIN = "its layers build on each other's links: taking them apart first"
# A file of a lower layer, linked to by an upper one.
LINKED = [layer(kairos_entries()), layer([hardlink("./boot/same", "./boot/initrd")])]


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {missing}")


def with_config(text: str | None) -> list[Entry]:
    plain = [entry for entry in kairos_entries() if "config-" not in entry.name]
    return plain if text is None else [*plain, file("./boot/config-6.1.0-10-amd64", text)]


def squashed(
    folder: Path,
    layers: Sequence[PackedLayer | list[Entry]],
    wanted: Compression = Compression.AUTO,
    builder: Builder = Builder.TAR2SQFS,
) -> tuple[Path, list[str]]:
    """The file, and the lines that were told."""
    needs(builder)
    folder.mkdir(exist_ok=True)
    heard: list[Progress | str] = []
    path = squash(stored(*layers), folder, wanted, builder, heard.append)
    return path, [told for told in heard if isinstance(told, str)]


def compressor(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[20:22], "little")


def tree_of(path: Path) -> dict[str, tuple[object, ...]]:
    """What the tree in a squashfs says of each path."""
    return {
        name: (i.kind, i.mode & 0o7777, i.uid, i.gid, i.target, i.size)
        for name, i in walk(read_tree(path))
    }


# --- compression ---


def test_zstd_where_the_kernel_reads_it(tmp_path: Path) -> None:
    path, told = squashed(tmp_path, [with_config("CONFIG_SQUASHFS_ZSTD=m\n")])
    assert (compressor(path), told) == (ZSTD, [])


@pytest.mark.parametrize("builder", Builder)
@pytest.mark.parametrize("text", ["# CONFIG_SQUASHFS_ZSTD is not set\n", "", None])
def test_gzip_where_the_kernel_does_not_say_so(
    tmp_path: Path, text: str | None, builder: Builder
) -> None:
    path, told = squashed(tmp_path, [with_config(text)], builder=builder)
    assert compressor(path) == GZIP
    if builder is Builder.TAR2SQFS:
        assert told == ["its kernel does not read zstd: starting over with gzip"]


def test_starting_over_gives_what_was_wanted_from_the_beginning(tmp_path: Path) -> None:
    layers = [with_config("")]
    over, _ = squashed(tmp_path / "auto", layers)
    direct, told = squashed(tmp_path / "gzip", layers, Compression.GZIP)
    assert over.read_bytes() == direct.read_bytes()
    assert told == []


def test_the_config_of_the_kernel_that_boots_counts(tmp_path: Path) -> None:
    other = file("./boot/config-5.0-other", "CONFIG_SQUASHFS_ZSTD=y\n")
    path, _ = squashed(tmp_path, [[*with_config(""), other]])
    assert compressor(path) == GZIP


def test_the_topmost_layers_config_counts(tmp_path: Path) -> None:
    above = [file("./boot/config-6.1.0-10-amd64", "# nothing\n")]
    declared = [entry for entry in kairos_entries() if entry.name in ("./", "./boot")]
    path, _ = squashed(tmp_path, [kairos_entries(), [*declared, *above]])
    assert compressor(path) == GZIP


@pytest.mark.parametrize("builder", Builder)
@pytest.mark.parametrize(
    ("wanted", "number"),
    [(Compression.ZSTD, ZSTD), (Compression.GZIP, GZIP), (Compression.XZ, XZ)],
)
def test_what_was_asked_for_is_not_questioned(
    tmp_path: Path, wanted: Compression, number: int, builder: Builder
) -> None:
    path, told = squashed(tmp_path, [with_config("")], wanted, builder)
    assert (compressor(path), told) == (number, [])


# --- ways ---


def test_layers_that_build_on_each_others_links_are_taken_apart(tmp_path: Path) -> None:
    path, told = squashed(tmp_path, LINKED)
    assert told == [NOT_PLAIN]
    root = read_tree(path)
    boot = root.children["boot"].children
    assert boot["same"] is boot["initrd"]
    assert read_text(path, "/boot/same") == "initrd " * 500
    assert compressor(path) == ZSTD


def test_plain_layers_give_the_same_tree_both_ways(tmp_path: Path) -> None:
    layers = [kairos_entries(), [Entry(name="./etc", type=b"5", mode=0o711), file("./etc/x", "y")]]
    one, told = squashed(tmp_path / "tar2sqfs", layers)
    assert told == []
    two, _ = squashed(tmp_path / "mksquashfs", layers, builder=Builder.MKSQUASHFS)
    assert tree_of(one) == tree_of(two)


def test_both_builders_make_the_same_tree_of_nasty_layers(tmp_path: Path) -> None:
    one, told = squashed(tmp_path / "tar2sqfs", nasty_layers())
    two, _ = squashed(tmp_path / "mksquashfs", nasty_layers(), builder=Builder.MKSQUASHFS)
    assert told == [NOT_PLAIN]
    assert tree_of(one) == tree_of(two)
    assert set(tree_of(one)) == {name for name, _ in walk(index_layers(stored(*nasty_layers())))}


def test_what_no_way_can_merge_is_refused_by_both(tmp_path: Path) -> None:
    for builder in Builder:
        with pytest.raises(ImageProblem, match="leads out of the image"):
            squashed(tmp_path / builder, [kairos_entries(), [file("../out")]], builder=builder)


def test_reading_is_told_up_to_the_sum_of_all_layers(tmp_path: Path) -> None:
    needs("tar2sqfs")
    heard: list[Progress | str] = []
    layers = stored(kairos_entries(), [folder_of("etc"), file("./etc/x", b"y" * 100_000)])
    squash(layers, tmp_path, Compression.ZSTD, Builder.TAR2SQFS, heard.append)
    news = [told for told in heard if isinstance(told, Progress)]
    total = sum(one.layer.descriptor.size for one in layers)
    assert {(told.step, told.total) for told in news} == {("read 2 layers", total)}
    assert news[-1].done == total


def folder_of(name: str) -> Entry:
    return Entry(name=f"./{name}", type=b"5", mode=0o755)
