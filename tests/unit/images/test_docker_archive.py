from __future__ import annotations

import json
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.docker_archive import open_docker_archive
from kairos_netboot.images.manifest import LayerFormat, Manifest, layers_of
from kairos_netboot.images.reference import LocalReference, Scheme
from kairos_netboot.images.source import Source, read_whole, resolve
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    Entry,
    PackedLayer,
    encoded,
    file,
    image,
    layer,
    layout_files,
    symlink,
    tar_of,
)

BASE = layer([file("base", b"1")], LayerFormat.TAR)
TOP = layer([file("top", b"2")], LayerFormat.TAR)


def config_of(*layers: PackedLayer) -> bytes:
    diff_ids = [Digest.of(one.tar) for one in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    return encoded({"os": "linux", "architecture": "amd64", "rootfs": rootfs})


def listed(config: str, *layers: str, tags: list[str] | None = None) -> dict[str, object]:
    return {"Config": config, "RepoTags": tags, "Layers": list(layers)}


CONFIG = config_of(BASE, TOP)
FILES = [
    file("a/layer.tar", BASE.blob),
    file("b/layer.tar", TOP.blob),
    file("config.json", CONFIG),
]
LISTED = listed("config.json", "a/layer.tar", "b/layer.tar", tags=["kairos:v1"])


def opened(directory: Path, entries: list[Entry], listing: object, tag: str = "") -> Source:
    path = directory / "saved.tar"
    path.write_bytes(tar_of([*entries, file("manifest.json", encoded(listing))]))
    reference = LocalReference(scheme=Scheme.DOCKER_ARCHIVE, path=path, tag=tag)
    return open_docker_archive(reference)


def top(source: Source) -> Manifest:
    return resolve(source, Arch.AMD64).manifest


def check(source: Source, *layers: PackedLayer) -> None:
    """All that a manifest says of its blobs is so."""
    manifest = top(source)
    config = read_whole(source.blob(manifest.config), manifest.config)
    for known, made in zip(layers_of(manifest, config, Arch.AMD64), layers, strict=True):
        assert (known.format, known.diff_id) == (made.format, Digest.of(made.tar))
        assert read_whole(source.blob(known.descriptor), known.descriptor) == made.blob


def test_an_archive_gets_a_manifest_that_fits_its_layers(tmp_path: Path) -> None:
    check(opened(tmp_path, FILES, [LISTED]), BASE, TOP)


def test_the_same_image_gets_the_same_manifest(tmp_path: Path) -> None:
    first = top(opened(tmp_path, FILES, [LISTED]))
    assert top(opened(tmp_path, FILES[::-1], [LISTED])).digest == first.digest
    assert Digest.of(first.data) == first.digest
    assert json.loads(first.data)["mediaType"] == first.media_type


@pytest.mark.parametrize("packing", [LayerFormat.GZIP, LayerFormat.ZSTD])
def test_packed_layers_of_other_tools_are_known_by_their_first_bytes(
    tmp_path: Path, packing: LayerFormat
) -> None:
    packed = layer(TOP.tar, packing)
    files = [FILES[0], file("b/layer.tar", packed.blob), FILES[2]]
    check(opened(tmp_path, files, [LISTED]), BASE, packed)


def test_a_layer_that_is_a_link_to_another_images_is_read(tmp_path: Path) -> None:
    files = [file("x/layer.tar", BASE.blob), symlink("a/layer.tar", "../x/layer.tar"), *FILES[1:]]
    check(opened(tmp_path, files, [LISTED]), BASE, TOP)


@pytest.mark.parametrize("tag", ["kairos:v2", "docker.io/library/kairos:v2"])
def test_an_image_is_chosen_by_its_name(tmp_path: Path, tag: str) -> None:
    other = config_of(TOP)
    two = listed("other.json", "b/layer.tar", tags=["docker.io/library/kairos:v2", "x:y"])
    source = opened(tmp_path, [*FILES, file("other.json", other)], [LISTED, two], tag)
    assert top(source).config.digest == Digest.of(other)


def test_several_images_without_a_name_are_listed(tmp_path: Path) -> None:
    two = listed("config.json", "b/layer.tar", tags=["other:v1"])
    with pytest.raises(ImageProblem, match="add one of :kairos:v1, :other:v1"):
        opened(tmp_path, FILES, [LISTED, two])


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="no image 'a:b': it has :kairos:v1"):
        opened(tmp_path, FILES, [LISTED], "a:b")


def test_an_image_without_a_name_is_taken_if_it_is_the_only_one(tmp_path: Path) -> None:
    check(opened(tmp_path, FILES, [LISTED | {"RepoTags": None}]), BASE, TOP)


def test_the_layout_of_newer_dockers_is_preferred(tmp_path: Path) -> None:
    made = image([layer([file("new", b"n")])])
    new = [file(name, data) for name, data in layout_files({"v1": made}).items()]
    assert top(opened(tmp_path, [*FILES, *new], [LISTED])).digest == made.top


def test_nothing_is_attached_to_an_archived_image(tmp_path: Path) -> None:
    source = opened(tmp_path, FILES, [LISTED])
    assert source.tagged("v1") is None
    assert source.referrers(top(source).digest) == ()


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ([], "lists no image"),
        ({}, "lists no image"),
        ([1], "without a list of layers"),
        ([listed("config.json")], "its config does not list the layers"),
        ([listed("none.json", "a/layer.tar", "b/layer.tar")], "lacks none.json"),
        ([listed("config.json", "a/layer.tar", "none.tar")], "lacks none.tar"),
        ([listed("a/layer.tar", "a/layer.tar")], "is not JSON"),
    ],
)
def test_an_archive_that_does_not_hold_together_is_refused(
    tmp_path: Path, listing: object, words: str
) -> None:
    with pytest.raises(ImageProblem, match=words):
        opened(tmp_path, FILES, listing)


@pytest.mark.parametrize("config", [b"[]", b"{}", b'{"rootfs": {"diff_ids": ["md5:1", "x"]}}'])
def test_a_config_without_proper_layers_is_refused(tmp_path: Path, config: bytes) -> None:
    with pytest.raises(ImageProblem, match="its config"):
        opened(tmp_path, [*FILES[:2], file("config.json", config)], [LISTED])


def test_a_tar_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of([file("x", b"y")]))
    with pytest.raises(ImageProblem, match="not an archive of `docker save`"):
        open_docker_archive(LocalReference(scheme=Scheme.DOCKER_ARCHIVE, path=path))
