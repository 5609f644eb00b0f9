"""Container images into the store, out of memory; what is asked of their source is counted."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kairos_netboot.boot.site import Compression, Image, ImageSource
from kairos_netboot.errors import ImageProblem, NetbootError, StoreProblem
from kairos_netboot.images.artifact import pack
from kairos_netboot.images.container import from_container
from kairos_netboot.images.manifest import MAX_DOCUMENT, Descriptor, parse
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.signing import sign
from kairos_netboot.images.source import Source
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Blob, Digest
from tests.images_factory import (
    MadeImage,
    PackedLayer,
    descriptor,
    encoded,
    file,
    image,
    index_of,
    kairos_entries,
    layer,
)

pytestmark = pytest.mark.skipif(
    not (shutil.which("tar2sqfs") or shutil.which("mksquashfs")),
    reason="no squashfs builder: apt-get install squashfs-tools-ng",
)

KEY = ec.derive_private_key(7, ec.SECP256R1())
BASE = layer(kairos_entries())
ONE, TWO = layer([file("etc/one", "1")]), layer([file("etc/two", "2")])
MADE = image([BASE, ONE])
WANTED = ImageSource(name="debian", reference="r.example/debian:12")


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    spki = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, spki).decode()


@dataclass
class Shelf:
    """A source; `asked` is every blob that was read."""

    made: MadeImage
    tags: dict[str, bytes] = field(default_factory=dict)
    asked: list[Digest] = field(default_factory=list)

    def source(self) -> Source:
        return Source(
            top=lambda: parse(self.made.blobs[self.made.top]),
            document=lambda wanted: [self.made.blobs[wanted.digest]],
            blob=self._blob,
            tagged=self.tags.get,
            referrers=lambda digest: (),
        )

    def _blob(self, wanted: Descriptor) -> Iterator[bytes]:
        self.asked.append(wanted.digest)
        yield self.made.blobs[wanted.digest]

    def signed(self, digest: Digest, key: ec.EllipticCurvePrivateKey = KEY) -> Shelf:
        sealed = sign("r.example/debian:12", digest, key)
        blobs = {**self.made.blobs, **sealed.blobs}
        return Shelf(replace(self.made, blobs=blobs), {**self.tags, sealed.tag: sealed.manifest})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state")) as opened:
        yield opened


def add(
    store: Store,
    shelf: Shelf | MadeImage,
    wanted: ImageSource = WANTED,
    heard: list[Progress | str] | None = None,
) -> Image:
    source = (shelf if isinstance(shelf, Shelf) else Shelf(shelf)).source()
    with store.blobs.guard():
        return from_container(source, wanted, store, (heard if heard is not None else []).append)


def refused(store: Store, shelf: Shelf | MadeImage, wanted: ImageSource, words: str) -> None:
    """With one line, and the store as it was."""
    before, blobs = store.fleet().images, store.blobs.all()
    with pytest.raises(ImageProblem, match=words):
        add(store, shelf, wanted)
    assert (store.fleet().images, store.blobs.all()) == (before, blobs)
    assert list((store.blobs.root / "work").iterdir()) == []


def layers_of(*layers: PackedLayer) -> list[Digest]:
    return [Digest.of(one.blob) for one in layers]


def configs(made: MadeImage) -> list[Digest]:
    return [Digest(json.loads(made.blobs[made.top])["config"]["digest"])]


# --- content ---


def test_manifest_config_and_layers_are_kept_as_they_came(store: Store) -> None:
    found = add(store, MADE)
    assert store.fleet().images == {"debian": found}
    assert store.is_whole(found)
    assert found.content
    assert found.content.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert found.content.manifest == Blob(digest=MADE.top, size=len(MADE.blobs[MADE.top]))
    listed = [found.content.manifest, *found.content.blobs]
    assert {one.digest: store.blobs.path(one.digest).read_bytes() for one in listed} == MADE.blobs
    assert [one.digest for one in found.content.blobs] == configs(MADE) + layers_of(BASE, ONE)
    assert {one.digest for one in store.blobs.all()} == {one.digest for one in found.blobs()}
    assert list((store.blobs.root / "work").iterdir()) == []


def test_of_an_index_the_platforms_own_manifest_is_kept(store: Store) -> None:
    both = index_of({"arm64": image([ONE], arch="arm64"), "amd64": MADE})
    found = add(store, both)
    assert found.digest == MADE.top
    assert found.content
    assert found.content.manifest.digest == MADE.top


def test_a_layer_that_comes_twice_is_fetched_and_kept_once(store: Store) -> None:
    shelf = Shelf(image([BASE, ONE, ONE]))
    found = add(store, shelf)
    assert shelf.asked.count(Digest.of(ONE.blob)) == 1
    assert found.content
    assert [one.digest for one in found.content.blobs][1:] == layers_of(BASE, ONE, ONE)


# --- what is here already ---


def test_a_second_add_asks_for_no_blob(store: Store) -> None:
    first, again = add(store, MADE), Shelf(MADE)
    assert add(store, again) == first
    assert again.asked == []


def test_another_name_for_it_shares_all_its_files(store: Store) -> None:
    first, again = add(store, MADE), Shelf(MADE)
    wanted = replace(WANTED, name="other", reference="r.example/other:1")
    second = add(store, again, wanted)
    assert (second.name, second.source) == ("other", wanted)
    assert (second.files, second.content) == (first.files, first.content)
    assert again.asked == []
    assert set(store.fleet().images) == {"debian", "other"}


def test_an_image_whose_file_was_lost_is_made_again(store: Store) -> None:
    first = add(store, MADE)
    store.blobs.remove(first.boot_files.rootfs.digest)
    again = Shelf(MADE)
    assert add(store, again) == first
    assert store.is_whole(first)
    assert again.asked == configs(MADE), "the layers are here"


def test_layers_that_another_image_has_are_not_fetched(store: Store) -> None:
    add(store, MADE)
    other = image([BASE, TWO])
    shelf = Shelf(other)
    found = add(store, shelf, replace(WANTED, name="other"))
    assert set(shelf.asked) == {*configs(other), *layers_of(TWO)}
    assert store.is_whole(found)


def test_another_compression_makes_another_squashfs_of_the_layers_here(store: Store) -> None:
    first, again = add(store, MADE), Shelf(MADE)
    second = add(store, again, replace(WANTED, compression=Compression.XZ))
    assert second.boot_files.rootfs != first.boot_files.rootfs
    assert (second.boot_files.kernel, second.content) == (first.boot_files.kernel, first.content)
    assert again.asked == configs(MADE)
    assert store.former_images()["debian"] == first


def test_a_blob_that_is_here_under_that_name_only_is_no_layer(store: Store) -> None:
    """Bytes that rot on the disk do not become part of a machine's system."""
    add(store, MADE)
    path = store.blobs.path(Digest.of(BASE.blob))
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    refused(store, image([BASE, TWO]), replace(WANTED, name="other"), "layer 1")


# --- signatures ---


SIGNED = replace(WANTED, verify_key=pem(KEY))


def test_a_signed_image_is_taken(store: Store) -> None:
    assert add(store, Shelf(MADE).signed(MADE.top), SIGNED).source == SIGNED


@pytest.mark.parametrize("of_index", [True, False], ids=["of the index", "of the manifest"])
def test_a_signature_of_a_multi_platform_image_or_its_part_holds(
    store: Store, of_index: bool
) -> None:
    both = index_of({"arm64": image([ONE], arch="arm64"), "amd64": MADE})
    shelf = Shelf(both).signed(both.top if of_index else MADE.top)
    assert add(store, shelf, SIGNED).digest == MADE.top


def test_a_signature_of_another_platforms_part_does_not_hold(store: Store) -> None:
    arm = image([ONE], arch="arm64")
    shelf = Shelf(index_of({"arm64": arm, "amd64": MADE})).signed(arm.top)
    refused(store, shelf, SIGNED, "it is not signed")


def test_an_unsigned_image_is_refused_before_anything_is_fetched(store: Store) -> None:
    shelf = Shelf(MADE)
    refused(store, shelf, SIGNED, "it is not signed: sign it with `cosign sign --key KEY`")
    assert shelf.asked == []


def test_an_image_signed_by_another_key_leaves_the_one_in_service(store: Store) -> None:
    add(store, Shelf(MADE).signed(MADE.top), SIGNED)
    new = image([BASE, TWO])
    other = Shelf(new).signed(new.top, ec.derive_private_key(8, ec.SECP256R1()))
    refused(store, other, SIGNED, "its signature is not by this key")


def test_an_image_that_is_here_must_be_signed_too_where_that_is_asked(store: Store) -> None:
    add(store, MADE)
    refused(store, MADE, SIGNED, "it is not signed")


# --- artifacts ---


def published(store: Store, found: Image) -> MadeImage:
    packed = pack(found)
    files = [store.blobs.path(blob.digest).read_bytes() for blob in found.files]
    blobs = {Digest.of(data): data for data in (packed.manifest, packed.config, *files)}
    return MadeImage(top=Digest.of(packed.manifest), blobs=blobs)


def test_published_boot_files_are_taken_as_they_are(store: Store, tmp_path: Path) -> None:
    first = add(store, MADE)
    artifact = published(store, first)
    with closing(Store(tmp_path / "edge")) as edge:
        found = add(edge, artifact)
        assert (found.files, found.content, found.digest) == (first.files, None, artifact.top)
        assert found.facts == replace(first.facts, made_of=MADE.top)
        assert edge.is_whole(found)
        again = Shelf(artifact)
        assert add(edge, again) == found
        assert again.asked == []


def test_a_published_file_that_is_not_what_it_was_is_refused(store: Store, tmp_path: Path) -> None:
    first = add(store, MADE)
    artifact = published(store, first)
    rootfs = first.boot_files.rootfs.digest
    bad = replace(artifact, blobs=artifact.blobs | {rootfs: artifact.blobs[rootfs][:-1] + b"?"})
    with closing(Store(tmp_path / "edge")) as edge:
        refused(edge, bad, WANTED, "came with other content")


def test_published_boot_files_for_another_machine_are_refused(store: Store) -> None:
    artifact = published(store, add(store, MADE))
    refused(store, artifact, replace(WANTED, arch=Arch.ARM64), "made for linux/amd64, not")


# --- refusals ---


def _changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (_changed, "came with other content"),
        (lambda data: data[:-1], r"came with \d+ of \d+ bytes"),
        (lambda data: data + b"more", "came with more than"),
        (lambda data: b"", "came with 0 of"),
    ],
    ids=["changed", "cut", "longer", "empty"],
)
@pytest.mark.parametrize("which", ["layer", "config"])
def test_bytes_that_are_not_as_announced_are_refused(
    store: Store, which: str, lie: object, words: str
) -> None:
    add(store, image([BASE, TWO]))
    digest = Digest.of(ONE.blob) if which == "layer" else configs(MADE)[0]
    lied = {digest: lie(MADE.blobs[digest])}  # type: ignore[operator]
    refused(store, replace(MADE, blobs=MADE.blobs | lied), WANTED, words)


def test_a_config_beyond_all_measure_is_refused(store: Store) -> None:
    config = b" " * (MAX_DOCUMENT + 1)
    manifest = encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(BASE.blob, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
    )
    top = Digest.of(manifest)
    huge = MadeImage(top=top, blobs={**MADE.blobs, top: manifest, Digest.of(config): config})
    refused(store, huge, WANTED, "MiB")


def test_an_image_that_cannot_fit_is_refused_before_a_layer_is_fetched(store: Store) -> None:
    top = json.loads(MADE.blobs[MADE.top])
    top["layers"][1]["size"] = 1 << 60
    manifest = encoded(top)
    digest = Digest.of(manifest)
    shelf = Shelf(MadeImage(top=digest, blobs={**MADE.blobs, digest: manifest}))
    with pytest.raises(StoreProblem, match=r"needs about .* `kairos-netboot images gc`"):
        add(store, shelf)
    assert shelf.asked == configs(MADE)
    assert store.blobs.all() == ()


def test_what_fails_while_it_is_fetched_ends_the_whole(store: Store) -> None:
    def broken(wanted: Descriptor) -> Iterator[bytes]:
        yield from shelf.source().blob(wanted) if wanted.size < 9000 else _break()

    shelf = Shelf(image([BASE, layer([file("big", random.Random(1).randbytes(9000))])]))
    with pytest.raises(NetbootError, match="the cable was pulled"), store.blobs.guard():
        from_container(replace(shelf.source(), blob=broken), WANTED, store, lambda told: None)
    assert store.blobs.all() == ()
    assert list((store.blobs.root / "work").iterdir()) == []


def _break() -> Sequence[bytes]:
    raise ImageProblem("the cable was pulled")
