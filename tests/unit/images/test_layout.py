from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.layout import open_archive, open_layout
from kairos_netboot.images.reference import LocalReference, Scheme
from kairos_netboot.images.source import Source, resolve
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    MadeImage,
    descriptor,
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

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
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


REF_NAME, FULL_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"


def entry(made: MadeImage, *, kind: str = MANIFEST, **more: object) -> dict[str, object]:
    return descriptor(made.blobs[made.top], kind) | more


def write_entries(directory: Path, *entries: dict[str, object], extra: bytes = b"") -> Path:
    """A layout of ONE and TWO with an index.json of one's own; `extra` is one more blob."""
    write_layout(directory, {"": ONE, "two": TWO})
    (directory / "blobs/sha256" / Digest.of(extra).hex).write_bytes(extra)
    (directory / "index.json").write_bytes(encoded({"manifests": list(entries)}))
    return directory


@pytest.mark.parametrize("key", [REF_NAME, FULL_NAME])
@pytest.mark.parametrize("wanted", ["", "v1", "docker.io/library/one:v1", "one:v1"])
def test_full_names_that_some_tools_write_are_known_by_their_tags(
    tmp_path: Path, key: str, wanted: str
) -> None:
    named = entry(ONE, annotations={key: "docker.io/library/one:v1"})
    assert digest_in_layout(write_entries(tmp_path, named), wanted) == ONE.top


def test_the_same_tag_of_two_names_is_not_guessed(tmp_path: Path) -> None:
    both = [
        entry(made, annotations={REF_NAME: "v1", FULL_NAME: f"quay.io/{name}:v1"})
        for name, made in (("one", ONE), ("two", TWO))
    ]
    with pytest.raises(ImageProblem, match=r"several images: add one of :quay.io/one:v1, :quay"):
        digest_in_layout(write_entries(tmp_path, *both), "v1")
    assert digest_in_layout(tmp_path, "quay.io/two:v1") == TWO.top


def test_a_registrys_port_is_no_tag(tmp_path: Path) -> None:
    named = entry(ONE, annotations={FULL_NAME: "localhost:5000/one:v1"})
    assert digest_in_layout(write_entries(tmp_path, named), "v1") == ONE.top


def test_signatures_beside_the_only_image_are_no_images(tmp_path: Path) -> None:
    signature = entry(TWO, annotations={REF_NAME: f"sha256-{ONE.top.hex}.sig"})
    assert digest_in_layout(write_entries(tmp_path, signature, entry(ONE))) == ONE.top
    attached = entry(TWO, artifactType="application/vnd.dev.cosign.artifact.sig.v1+json")
    assert digest_in_layout(write_entries(tmp_path, attached, entry(ONE))) == ONE.top


def source_in(directory: Path) -> Source:
    return open_layout(LocalReference(scheme=Scheme.LAYOUT, path=directory))


def test_a_manifest_is_found_by_its_tag(tmp_path: Path) -> None:
    source = source_in(write_layout(tmp_path, {"v1": ONE, "sha256-ab.sig": TWO}))
    assert source.tagged("sha256-ab.sig") == TWO.blobs[TWO.top]
    assert source.tagged("none") is None


def attached_to(subject: Digest, kind: str = "text/note") -> bytes:
    return encoded(
        {
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [descriptor(b"x", "text/plain")],
            "subject": {"mediaType": MANIFEST, "digest": subject, "size": 1},
            "annotations": {"note": "hello"},
        }
    )


def test_what_is_attached_to_an_image_is_found_by_its_subject(tmp_path: Path) -> None:
    note = attached_to(ONE.top)
    source = source_in(
        write_entries(tmp_path, entry(ONE), descriptor(note, MANIFEST), entry(TWO), extra=note)
    )
    (found,) = source.referrers(ONE.top)
    assert (found.digest, found.artifact_type) == (Digest.of(note), "text/note")
    assert found.annotations == {"note": "hello"}
    assert source.referrers(TWO.top) == ()


def test_what_is_attached_to_an_image_is_found_by_the_tag_that_stands_in(tmp_path: Path) -> None:
    note = attached_to(ONE.top)
    listing = encoded({"mediaType": INDEX, "manifests": [descriptor(note, MANIFEST)]})
    tag = {REF_NAME: f"sha256-{ONE.top.hex}"}
    listed = descriptor(listing, INDEX) | {"annotations": tag}
    source = source_in(write_entries(tmp_path, entry(ONE), listed, extra=listing))
    assert [one.digest for one in source.referrers(ONE.top)] == [Digest.of(note)]


def test_manifests_that_a_copy_lacks_do_not_hide_what_is_attached(tmp_path: Path) -> None:
    note = attached_to(ONE.top)
    lacking = descriptor(b"not copied", MANIFEST)
    made = write_entries(tmp_path, lacking, descriptor(note, MANIFEST), extra=note)
    assert len(source_in(made).referrers(ONE.top)) == 1


def test_a_blob_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    write_layout(tmp_path, {"": ONE})
    (tmp_path / "index.json").unlink()
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(ImageProblem, match=r"its index\.json is no file"):
        digest_in_layout(tmp_path)
