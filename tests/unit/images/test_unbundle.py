"""What is taken out of a bundle, and what is not believed."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.site import Image, ImageSource, Medium, MediumKind
from kairos_netboot.errors import ImageProblem, NetbootError, StoreProblem
from kairos_netboot.images.bundle import export_bundle
from kairos_netboot.images.unbundle import open_bundle, take_blobs
from kairos_netboot.store.store import Store
from kairos_netboot.values import Digest
from tests.bundles import Document, at, files_of, forge, keep, made_image, tar_with, write_files
from tests.images_factory import write_archive

KEY, OTHER_KEY = (ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8))
SITE = {"site.yaml": "images: {}\n", "templates/base.yaml": "#cloud-config\n"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Image]]:
    """A bundle, signed with KEY, of an image of a registry and one without content."""
    folder = tmp_path_factory.mktemp("central")
    with closing(Store(folder / "state")) as store:
        debian = ImageSource(name="debian", reference="quay.io/kairos/debian:v4")
        iso = ImageSource(name="iso", reference="iso:/srv/kairos.iso")
        images = [keep(store, debian, made_image(1)), keep(store, iso, None, b"iso")]
        export_bundle(
            folder / "b.tar",
            SITE,
            "site.yaml",
            images,
            store.blobs,
            KEY,
            lambda told: None,
        )
    return folder / "b.tar", images


@pytest.fixture
def bundle(exported: tuple[Path, list[Image]], tmp_path: Path) -> Path:
    """A copy to do anything with."""
    copy = tmp_path / "b.tar"
    copy.write_bytes(exported[0].read_bytes())
    return copy


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "edge")) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """For many that change nothing."""
    with closing(Store(tmp_path_factory.mktemp("edge") / "edge")) as opened:
        yield opened


@contextmanager
def unchanged(store: Store) -> Iterator[None]:
    before = store.fleet(), store.blobs.all()
    yield
    assert (store.fleet(), store.blobs.all()) == before
    assert list((store.blobs.root / "work").iterdir()) == []


def take(path: Path, store: Store) -> None:
    take_blobs(open_bundle(path, None), store.blobs, lambda told: None)


def test_site_images_and_blobs_come_back(exported: tuple[Path, list[Image]], store: Store) -> None:
    path, images = exported
    found = open_bundle(path, KEY.public_key())
    assert found.first == "site.yaml"
    assert found.site == {name: text.encode() for name, text in SITE.items()}
    assert [
        replace(one, source=kept.source) for one, kept in zip(found.images, images, strict=True)
    ] == images
    take_blobs(found, store.blobs, lambda told: None)
    for blob in (blob for image in images for blob in image.blobs()):
        content = store.blobs.path(blob.digest).read_bytes()
        assert (Digest.of(content), len(content)) == (blob.digest, blob.size)


def test_an_image_that_is_one_file_comes_back(tmp_path: Path, store: Store) -> None:
    with closing(Store(tmp_path / "central")) as central:
        made = keep(central, ImageSource(name="trusted", reference="uki:/srv/k.iso"), None)
        blob = made.boot_files.rootfs
        image = replace(made, files=Medium(blob=blob, kind=MediumKind.ISO), digest=blob.digest)
        export_bundle(
            tmp_path / "b.tar",
            SITE,
            "site.yaml",
            [image],
            central.blobs,
            None,
            lambda told: None,
        )
    found = open_bundle(tmp_path / "b.tar", None)
    assert replace(found.images[0], source=image.source) == image
    take_blobs(found, store.blobs, lambda told: None)
    assert store.blobs.has(blob.digest)


def test_what_is_here_is_not_read_again(bundle: Path, store: Store) -> None:
    take(bundle, store)
    files = files_of(bundle)
    kernel = open_bundle(bundle, None).images[0].boot_files.kernel.digest
    del files[at(kernel)]
    take(write_files(bundle, files), store)


# --- signatures ---


def test_without_a_signature_it_is_refused_where_a_key_is_given(bundle: Path) -> None:
    files = files_of(bundle)
    index = json.loads(files["index.json"])
    del index["manifests"][1]
    write_files(bundle, files | {"index.json": json.dumps(index).encode()})
    assert open_bundle(bundle, None).first == "site.yaml"
    with pytest.raises(ImageProblem, match="it is not signed"):
        open_bundle(bundle, KEY.public_key())


def test_another_key_is_refused(bundle: Path) -> None:
    with pytest.raises(ImageProblem, match="signature is not by this key"):
        open_bundle(bundle, OTHER_KEY.public_key())


def test_a_signature_does_not_hold_for_another_content(bundle: Path) -> None:
    forge(bundle, config=lambda document: document["images"].pop("iso"))
    assert len(open_bundle(bundle, None).images) == 1
    with pytest.raises(ImageProblem, match="it is not signed"):
        open_bundle(bundle, KEY.public_key())


# --- damage ---


@given(st.integers(min_value=0))
@example(0)
@example(511)
@example(512)
@example(1024)
@example(1500)
def test_a_bundle_cut_anywhere_changes_nothing(
    exported: tuple[Path, list[Image]], shared: Store, length: int
) -> None:
    data = exported[0].read_bytes()
    end = data.rstrip(b"\0")  # a tar may well lack its empty blocks
    path = exported[0].with_name("cut.tar")
    path.write_bytes(data[: length % len(end)])
    with unchanged(shared), pytest.raises(ImageProblem):
        take(path, shared)


@pytest.mark.parametrize("number", range(3))
def test_a_blob_with_other_bytes_changes_nothing(bundle: Path, store: Store, number: int) -> None:
    digest = list(open_bundle(bundle, None).images[0].files)[number].digest
    files = files_of(bundle)
    files[at(digest)] = b"?" + files[at(digest)][1:]
    write_files(bundle, files)
    with unchanged(store), pytest.raises(ImageProblem, match=f"{digest} came with other content"):
        take(bundle, store)


def test_a_blob_that_is_missing_changes_nothing(bundle: Path, store: Store) -> None:
    digest = open_bundle(bundle, None).images[0].boot_files.rootfs.digest
    files = files_of(bundle)
    del files[at(digest)]
    write_files(bundle, files)
    with unchanged(store), pytest.raises(ImageProblem, match=r"lacks blobs/.*not complete"):
        take(bundle, store)


@pytest.mark.parametrize("data", [b"", b"no tar", b"\0" * 4096])
def test_what_is_no_archive_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(data)
    with pytest.raises(ImageProblem):
        open_bundle(tmp_path / "b.tar", None)


def test_an_archive_of_an_image_is_no_bundle(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "b.tar", {"kairos-netboot.bundle": made_image(1)})
    with pytest.raises(ImageProblem, match="it is no bundle of `kairos-netboot bundle export`"):
        open_bundle(archive, None)
    with pytest.raises(ImageProblem, match=r"holds no image 'kairos-netboot\.bundle'"):
        open_bundle(write_archive(archive, {"v": made_image(1)}), None)


# --- hostile sites ---


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "odd",
    [
        member("../outside"),
        member("/etc/passwd"),
        member("a/../../b"),
        member("a\nb"),
        member("site.yaml"),
        member("./site.yaml"),
        member("link", tarfile.SYMTYPE, "/etc/shadow"),
        member("link", tarfile.LNKTYPE, "site.yaml"),
        member("folder", tarfile.DIRTYPE),
        member("fifo", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name!r} {info.type!r}",
)
def test_a_site_of_anything_but_its_own_files_is_refused(
    bundle: Path, odd: tarfile.TarInfo
) -> None:
    site = tar_with([(member("site.yaml"), b"images: {}\n"), (odd, b"")])
    with pytest.raises(ImageProblem, match=r"its site holds '.*', which is no file of a site"):
        open_bundle(forge(bundle, site=site), None)


def test_a_sparse_file_of_any_size_is_refused(bundle: Path) -> None:
    info = member("site.yaml")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": str(1 << 40),
    }
    with pytest.raises(ImageProblem, match="its site "):
        open_bundle(forge(bundle, site=tar_with([(info, b"x")])), None)


@given(st.binary(max_size=600))
@example(b"")
@example(tar_with([(member("site.yaml"), b"x" * 600)])[:700])
def test_any_bytes_for_a_site_are_one_error(
    exported: tuple[Path, list[Image]], tmp_path_factory: pytest.TempPathFactory, site: bytes
) -> None:
    path = tmp_path_factory.mktemp("site") / "b.tar"
    path.write_bytes(exported[0].read_bytes())
    with pytest.raises(ImageProblem):
        open_bundle(forge(path, site=site), None)


def test_a_bundle_needs_one_site(bundle: Path) -> None:
    twice = forge(bundle, manifest=lambda m: m["layers"].insert(0, m["layers"][0]))
    with pytest.raises(ImageProblem, match="it holds no site"):
        open_bundle(twice, None)
    forge(bundle, manifest=lambda m: m["layers"].pop(0))
    with pytest.raises(ImageProblem, match="it holds no site"):
        open_bundle(forge(bundle, manifest=lambda m: m["layers"].__delitem__(slice(0, 1))), None)


# --- hostile lists of images ---


def _debian(document: Document) -> Document:
    found: Document = document["images"]["debian"]
    return found


ODD: dict[str, Callable[[Document], object]] = {
    "no images": lambda d: d.pop("images"),
    "images in a list": lambda d: d.update(images=[]),
    "no name of the site file": lambda d: d.update(site=7),
    "another site file": lambda d: d.update(site="../site.yaml"),
    "a row that is none": lambda d: d["images"].update(debian=[]),
    "a row without facts": lambda d: _debian(d).pop("facts"),
    "a row without files": lambda d: _debian(d).pop("files"),
    "no name": lambda d: d["images"].update({"": _debian(d)}),
    "a name that terminals obey": lambda d: d["images"].update({"\x1b[2J": _debian(d)}),
    "a name without end": lambda d: d["images"].update({"x" * 5000: _debian(d)}),
    "a digest that is a path": lambda d: _debian(d).update(digest="sha256:../../../etc/shadow"),
    "a file that is a path": lambda d: _debian(d)["files"].update(kernel="/etc/shadow"),
    "a file by a path": lambda d: _debian(d)["files"]["kernel"].update(digest="../x"),
    "a file more": lambda d: _debian(d)["files"].update(more=_debian(d)["files"]["kernel"]),
    "a file less": lambda d: _debian(d)["files"].pop("initrd"),
    "a size below zero": lambda d: _debian(d)["files"]["kernel"].update(size=-1),
    "a size without end": lambda d: _debian(d)["files"]["kernel"].update(size=float("inf")),
    "a size that is none": lambda d: _debian(d)["files"]["kernel"].update(size="many"),
    "no size": lambda d: _debian(d)["files"]["kernel"].update(size=None),
    "a fact that is a number": lambda d: _debian(d)["facts"].update(flavor=1),
    "a fact that is a list": lambda d: _debian(d)["facts"].update(flavor=["x"]),
    "a fact that terminals obey": lambda d: _debian(d)["facts"].update(flavor="\x1b[2J"),
    "a fact without end": lambda d: _debian(d)["facts"].update(flavor="x" * 5000),
    "a fact that nobody knows": lambda d: _debian(d)["facts"].update(unknown="x"),
    "an EFI stub of a kind": lambda d: _debian(d)["facts"].update(efi_stub=1),
    "made of nothing": lambda d: _debian(d)["facts"].update(made_of="x"),
    "an unknown architecture": lambda d: _debian(d)["facts"].update(arch="z80"),
    "content that is none": lambda d: _debian(d).update(content="x"),
    "content of another digest": lambda d: _debian(d).update(digest=Digest.of(b"x")),
    "content without a manifest": lambda d: _debian(d)["content"].pop("manifest"),
    "a manifest without end": lambda d: _debian(d)["content"]["manifest"].update(size=1 << 40),
    "a layer less": lambda d: _debian(d)["content"]["blobs"].pop(),
    "a layer of another size": lambda d: _debian(d)["content"]["blobs"][0].update(size=1),
    "another type of manifest": lambda d: _debian(d)["content"].update(media_type="text/html"),
}


@pytest.mark.parametrize("odd", ODD)
def test_rows_that_nobody_has_exported_are_one_clear_error(bundle: Path, odd: str) -> None:
    with pytest.raises(ImageProblem) as raised:
        open_bundle(forge(bundle, config=ODD[odd]), None)
    said = str(raised.value)
    assert said.endswith((": export it again", ": do not use it", ": try again")), said
    assert "\n" not in said


def test_a_file_with_two_sizes_is_refused(bundle: Path, store: Store) -> None:
    def odd(document: Document) -> None:
        kernel = _debian(document)["files"]["kernel"]
        document["images"]["iso"]["files"]["kernel"] = kernel | {"size": 1}

    with unchanged(store), pytest.raises(ImageProblem, match="two sizes"):
        take(forge(bundle, config=odd), store)


def test_a_wrong_size_of_what_is_here_is_refused(bundle: Path, store: Store) -> None:
    take(bundle, store)
    forge(bundle, config=lambda d: d["images"]["iso"]["files"]["kernel"].update(size=1))
    with unchanged(store), pytest.raises(ImageProblem, match="a wrong size: export it again"):
        take(bundle, store)


def test_more_than_the_disk_holds_is_not_begun(bundle: Path, store: Store) -> None:
    forge(bundle, config=lambda d: d["images"]["iso"]["files"]["kernel"].update(size=1 << 60))
    with unchanged(store), pytest.raises(StoreProblem, match="make room"):
        take(bundle, store)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["digest", "facts", "files", "content"]))
def test_any_row_is_an_image_or_one_error(
    exported: tuple[Path, list[Image]],
    tmp_path_factory: pytest.TempPathFactory,
    value: object,
    key: str,
) -> None:
    path = tmp_path_factory.mktemp("rows") / "b.tar"
    path.write_bytes(exported[0].read_bytes())
    forge(path, config=lambda d: _debian(d).update({key: value}))
    with suppress(NetbootError):
        open_bundle(path, None)


def test_the_digest_of_a_bundle_is_that_of_its_manifest(exported: tuple[Path, list[Image]]) -> None:
    files = files_of(exported[0])
    named = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert named == "sha256:" + hashlib.sha256(files[at(named)]).hexdigest()
