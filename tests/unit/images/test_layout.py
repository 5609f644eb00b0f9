from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.layout import open_archive, open_layout
from kairos_netboot.images.reference import LocalReference, Scheme
from kairos_netboot.images.source import resolve
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    MadeImage,
    encoded,
    file,
    image,
    index_of,
    layer,
    layout_files,
    tar_of,
    write_archive,
    write_layout,
)

ONE, TWO = image([layer([file("one", b"1")])]), image([layer([file("two", b"2")])])


def digest_in_archive(path: Path, tag: str = "", arch: Arch = Arch.AMD64) -> Digest:
    source = open_archive(LocalReference(scheme=Scheme.ARCHIVE, path=path, tag=tag))
    return resolve(source, arch).manifest.digest


def digest_in_layout(path: Path, tag: str = "", arch: Arch = Arch.AMD64) -> Digest:
    source = open_layout(LocalReference(scheme=Scheme.LAYOUT, path=path, tag=tag))
    return resolve(source, arch).manifest.digest


def test_the_only_image_needs_no_tag(tmp_path: Path) -> None:
    assert digest_in_layout(write_layout(tmp_path, {"v1": ONE})) == ONE.top
    assert digest_in_archive(write_archive(tmp_path / "a.tar", {"": ONE})) == ONE.top


def test_a_tag_chooses_among_several(tmp_path: Path) -> None:
    both = {"v1": ONE, "v2": TWO}
    assert digest_in_layout(write_layout(tmp_path, both), "v2") == TWO.top
    assert digest_in_archive(write_archive(tmp_path / "a.tar", both), "v1") == ONE.top


def test_several_images_without_a_tag_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="add one of :v1, :v2"):
        digest_in_layout(write_layout(tmp_path, {"v1": ONE, "v2": TWO}))


def test_a_tag_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="no image 'c': it has :v1, :v2"):
        digest_in_layout(write_layout(tmp_path, {"v1": ONE, "v2": TWO}), "c")


def test_a_platform_is_chosen_from_an_index_in_the_layout(tmp_path: Path) -> None:
    arm = image([layer([file("arm", b"a")])], arch="arm64")
    both = index_of({"amd64": ONE, "arm64": arm})
    assert digest_in_layout(write_layout(tmp_path, {"v1": both}), arch=Arch.ARM64) == arm.top


def test_layers_can_be_read_again_and_again(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar", {"": ONE})
    source = open_archive(LocalReference(scheme=Scheme.ARCHIVE, path=path))
    (one,) = resolve(source, Arch.AMD64).manifest.layers
    for _ in range(2):
        assert Digest.of(b"".join(source.blob(one))) == one.digest


def test_a_layout_with_dots_before_its_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    files = layout_files({"": ONE})
    path.write_bytes(tar_of(file(f"./{name}", data) for name, data in files.items()))
    assert digest_in_archive(path) == ONE.top


def test_a_compressed_archive_is_told_what_to_do(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar", {"": ONE})
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ImageProblem, match="compressed with gzip: unpack it with `gunzip`"):
        digest_in_archive(path)


def test_an_archive_of_docker_save_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of([file("manifest.json", b"[]")]))
    with pytest.raises(ImageProblem, match=r"docker save.*write docker-archive:"):
        digest_in_archive(path)


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, tar_of([file("x", b"y")])])
def test_what_is_no_layout_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(ImageProblem, match=r"no tar that can be read|not an OCI layout"):
        digest_in_archive(path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="no such file"):
        digest_in_archive(tmp_path / "none.tar")
    with pytest.raises(ImageProblem, match="no such directory"):
        digest_in_layout(tmp_path / "none")
    with pytest.raises(ImageProblem, match="not an OCI layout"):
        digest_in_layout(tmp_path)


def without(made: MadeImage, lost: Digest) -> MadeImage:
    return MadeImage(top=made.top, blobs=made.blobs | {lost: b""})


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = write_layout(tmp_path, {"": ONE})
    (path / "blobs" / "sha256" / ONE.top.hex).write_bytes(b"{}")
    with pytest.raises(ImageProblem, match=f"{ONE.top} came with 2 of"):
        digest_in_layout(path)


def test_a_manifest_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write_layout(tmp_path, {"": ONE})
    (path / "blobs" / "sha256" / ONE.top.hex).unlink()
    with pytest.raises(ImageProblem, match=f"lacks blobs/sha256/{ONE.top.hex}"):
        digest_in_layout(path)


def test_an_index_json_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = write_layout(tmp_path, {"": ONE})
    (path / "index.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(ImageProblem, match="more than 4 MiB"):
        digest_in_layout(path)


def test_an_index_that_points_to_itself_ends(tmp_path: Path) -> None:
    inner = ONE
    for _ in range(6):
        inner = index_of({"amd64": inner})
    with pytest.raises(ImageProblem, match="nested more than"):
        digest_in_layout(write_layout(tmp_path, {"": inner}))


def test_a_manifest_in_place_of_an_index_is_refused(tmp_path: Path) -> None:
    path = write_layout(tmp_path, {"": ONE})
    (path / "index.json").write_bytes(ONE.blobs[ONE.top])
    with pytest.raises(ImageProblem, match=r"index.json is no index"):
        digest_in_layout(path)
    (path / "index.json").write_bytes(encoded({"manifests": []}))
    with pytest.raises(ImageProblem):
        digest_in_layout(path)
