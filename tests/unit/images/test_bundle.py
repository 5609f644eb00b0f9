"""What a bundle is, byte by byte, and when none is written."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.site import BootFiles, Image, ImageSource
from kairos_netboot.errors import SiteMistake, StoreProblem
from kairos_netboot.images.bundle import export_bundle, site_path
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.signing import signature_tag
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Digest
from tests.bundles import at, files_of, keep, made_image

KEY = ec.derive_private_key(7, ec.SECP256R1())
SITE = {"site.yaml": "images: {}\n", "templates/base.yaml": "#cloud-config\n"}
REF_NAME = "org.opencontainers.image.ref.name"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def images(store: Store) -> list[Image]:
    """One of a registry, one of an ISO."""
    debian = ImageSource(name="debian", reference="quay.io/kairos/debian:v4")
    iso = ImageSource(name="iso", reference="iso:/srv/kairos.iso", arch=Arch.ARM64)
    return [keep(store, debian, made_image(1)), keep(store, iso, None, b"iso")]


def export(
    store: Store,
    target: Path,
    images: list[Image],
    site: dict[str, str] = SITE,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Digest:
    return export_bundle(target, site, "site.yaml", images, store.blobs, key, lambda told: None)


def test_it_is_a_layout_of_the_bundle_and_of_the_images(
    store: Store, images: list[Image], tmp_path: Path
) -> None:
    digest = export(store, tmp_path / "b.tar", images, key=KEY)
    files = files_of(tmp_path / "b.tar")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    entries = json.loads(files["index.json"])["manifests"]
    assert [entry["annotations"][REF_NAME] for entry in entries] == [
        "kairos-netboot.bundle",
        signature_tag(digest),
        "debian",
    ]
    assert [entry["digest"] for entry in entries][::2] == [digest, images[0].digest]
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == at(Digest.of(data))
    for blob in (blob for image in images for blob in image.blobs()):
        assert len(files[at(blob.digest)]) == blob.size


def test_its_config_names_every_blob_and_no_place_of_the_builder(
    store: Store, images: list[Image], tmp_path: Path
) -> None:
    digest = export(store, tmp_path / "b.tar", images)
    files = files_of(tmp_path / "b.tar")
    config = files[at(json.loads(files[at(digest)])["config"]["digest"])].decode()
    assert all(blob.digest in config for image in images for blob in image.blobs())
    assert "/srv/" not in config


@pytest.mark.parametrize("key", [None, KEY])
def test_the_same_is_the_same_bytes(
    store: Store, images: list[Image], tmp_path: Path, key: ec.EllipticCurvePrivateKey | None
) -> None:
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    backwards = dict(reversed(SITE.items()))
    assert export(store, one, images, key=key) == export(store, two, images, backwards, key)
    assert one.read_bytes() == two.read_bytes()


def test_a_blob_that_images_share_is_in_it_once(store: Store, tmp_path: Path) -> None:
    sources = [ImageSource(name=name, reference="quay.io/x:1") for name in ("a", "b")]
    kept = [keep(store, source, made_image(n)) for n, source in enumerate(sources)]
    export(store, tmp_path / "b.tar", kept)
    with tarfile.open(tmp_path / "b.tar") as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))


def test_passwords_in_it_are_its_owners_alone(
    store: Store, images: list[Image], tmp_path: Path
) -> None:
    export(store, tmp_path / "b.tar", images)
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600


def test_how_far_it_is_is_told(store: Store, images: list[Image], tmp_path: Path) -> None:
    heard: list[Progress | str] = []
    export_bundle(tmp_path / "b.tar", SITE, "site.yaml", images, store.blobs, None, heard.append)
    total = sum({b.digest: b.size for image in images for b in image.blobs()}.values())
    assert heard[-1] == Progress(step="write bundle", done=total, total=total)


@pytest.mark.parametrize("name", ["../base.yaml", "/etc/base.yaml", "a/../base.yaml", "a\nb", ""])
def test_a_file_outside_of_the_sites_folder_is_refused(
    store: Store, images: list[Image], tmp_path: Path, name: str
) -> None:
    with pytest.raises(SiteMistake, match=r"is outside of the site file's folder: move it in"):
        export(store, tmp_path / "b.tar", images, SITE | {name: "x"})
    assert not (tmp_path / "b.tar").exists()


@given(st.text(max_size=30))
@example("./a//b.yaml")
@example("..")
@example(".")
@example("a/..")
@example("a\x00b")
@example("\udcff")
def test_no_path_leads_out_of_the_folder(name: str) -> None:
    found = site_path(name)
    assert found == "" or os.path.normpath(found) == found
    assert not found.startswith(("/", "..")), found
    assert found.isprintable()


def test_more_than_can_be_imported_is_not_exported(
    store: Store, images: list[Image], tmp_path: Path
) -> None:
    with pytest.raises(SiteMistake, match=r"take 5\.0 MB, and a bundle has room for 4 MiB"):
        export(store, tmp_path / "b.tar", images, SITE | {"big.yaml": "#" * 5_000_000})
    many = [replace(images[0], name=str(n), files=keep_files(images[0], n)) for n in range(200)]
    with pytest.raises(SiteMistake, match="200 images are too many for one bundle"):
        export(store, tmp_path / "b.tar", many)
    assert not (tmp_path / "b.tar").exists()


def keep_files(image: Image, number: int) -> BootFiles:
    blobs = {
        part: replace(
            getattr(image.boot_files, part), digest=Digest.of(b"%d%b" % (number, part.encode()))
        )
        for part in ("kernel", "initrd", "rootfs")
    }
    return replace(image.boot_files, **blobs)


def test_the_bundles_own_name_is_no_images(
    store: Store, images: list[Image], tmp_path: Path
) -> None:
    taken = replace(images[0], name="kairos-netboot.bundle")
    with pytest.raises(SiteMistake, match=r"cannot be called 'kairos-netboot\.bundle'"):
        export(store, tmp_path / "b.tar", [taken])


@pytest.mark.parametrize("target", ["nowhere/b.tar", "folder", "fifo", "/dev/null"])
def test_a_target_that_cannot_be_written_is_named_and_stays(
    store: Store, images: list[Image], tmp_path: Path, target: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    before = sorted(tmp_path.iterdir()), os.stat("/dev/null").st_rdev
    with pytest.raises(StoreProblem, match=f"cannot write .*{target}: "):
        export(store, tmp_path / target, images)
    assert (sorted(tmp_path.iterdir()), os.stat("/dev/null").st_rdev) == before


def test_an_older_bundle_stays_where_a_new_one_cannot_be_made(
    store: Store, images: list[Image], tmp_path: Path
) -> None:
    target = tmp_path / "b.tar"
    target.write_bytes(b"old")
    with store.blobs.path(images[1].boot_files.rootfs.digest).open("ab") as file:
        file.write(b"damage")
    with pytest.raises(StoreProblem, match="is damaged: add its image again"):
        export(store, target, images)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "state"]
