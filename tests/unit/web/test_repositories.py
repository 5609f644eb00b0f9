"""Which manifest and which blobs a name, a tag and a digest mean."""

from __future__ import annotations

import json

import pytest

from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.site import BootFiles, Content, Image, ImageFacts, ImageSource
from kairos_netboot.values import Arch, Blob, Digest
from kairos_netboot.web.distribution import Ask, Code, Refused, What
from kairos_netboot.web.repositories import Offered, Repository, catalog, repository

OCI = "application/vnd.oci.image.manifest.v1+json"


def blob(text: str) -> Blob:
    return Blob(digest=Digest.of(text.encode()), size=len(text))


def an_image(
    name: str, reference: str, *, version: str = "1", arch: Arch = Arch.AMD64, whole: bool = True
) -> Image:
    """An image whose manifest and layer are made of its name, version and architecture."""
    stem = f"{name}-{version}-{arch}"
    content = Content(media_type=OCI, manifest=blob(stem), blobs=(blob(stem + " layer"),))
    boot = blob("boot")
    return Image(
        name=name,
        source=ImageSource(name=name, reference=reference, arch=arch),
        digest=content.manifest.digest,
        facts=ImageFacts(arch=arch),
        files=BootFiles(kernel=boot, initrd=boot, rootfs=boot),
        content=content if whole else None,
    )


def fleet(*images: Image, former: tuple[Image, ...] = ()) -> Fleet:
    return Fleet(
        images={image.name: image for image in images},
        former={image.name: image for image in former},
    )


def tag(found: Repository, name: str) -> Offered:
    return found.manifest(Ask(what=What.MANIFEST, name=found.name, tag=name))


def by_digest(found: Repository, digest: Digest) -> Offered:
    return found.manifest(Ask(what=What.MANIFEST, name=found.name, digest=digest))


def digest_of(image: Image) -> Digest:
    assert image.content
    return image.content.manifest.digest


UBUNTU = an_image("ubuntu", "quay.io/kairos/ubuntu:24.04")
OLD = an_image("ubuntu", "quay.io/kairos/ubuntu:24.04", version="0")
ARCHIVE = an_image("own", "oci-archive:/srv/own.tar")
ISO = an_image("iso", "iso:/srv/kairos.iso", whole=False)


def test_an_image_is_latest_under_its_own_name() -> None:
    found = repository(fleet(UBUNTU, ARCHIVE), "own")
    assert list(found.tags) == ["latest"]
    assert tag(found, "latest") == Offered(
        media_type=OCI,
        digest=digest_of(ARCHIVE),
        images=("own",),
    )


def test_the_version_before_has_a_tag_and_its_digest() -> None:
    found = repository(fleet(UBUNTU, former=(OLD,)), "ubuntu")
    assert sorted(found.tags) == ["former", "latest"]
    assert tag(found, "former").digest == digest_of(OLD)
    assert by_digest(found, digest_of(OLD)).digest == digest_of(OLD)
    assert tag(found, "latest").digest == digest_of(UBUNTU)


def test_an_image_of_a_registry_is_under_its_path_there() -> None:
    found = repository(fleet(UBUNTU), "kairos/ubuntu")
    assert list(found.tags) == ["24.04"]
    assert tag(found, "24.04").digest == digest_of(UBUNTU)


def test_an_image_by_digest_has_no_tag_there() -> None:
    image = an_image("x", f"quay.io/kairos/x@{Digest.of(b'index')}")
    found = repository(fleet(image), "kairos/x")
    assert found.tags == {}
    assert by_digest(found, digest_of(image)).digest == digest_of(image)


def test_a_tag_that_moved_is_the_present_version_and_the_former_has_its_digest() -> None:
    found = repository(fleet(UBUNTU, former=(OLD,)), "kairos/ubuntu")
    assert tag(found, "24.04").digest == digest_of(UBUNTU)
    assert by_digest(found, digest_of(OLD)).digest == digest_of(OLD)


def test_a_former_version_keeps_a_tag_that_nothing_else_has() -> None:
    old = an_image("ubuntu", "quay.io/kairos/ubuntu:22.04", version="0")
    found = repository(fleet(UBUNTU, former=(old,)), "kairos/ubuntu")
    assert tag(found, "22.04").digest == digest_of(old)
    assert tag(found, "24.04").digest == digest_of(UBUNTU)


# --- a registry that we stand in for ---


def test_the_registry_meant_is_respected() -> None:
    there = fleet(UBUNTU)
    assert tag(repository(there, "kairos/ubuntu", "quay.io"), "24.04").images == ("ubuntu",)
    assert repository(there, "kairos/ubuntu", "QUAY.IO").tags
    with pytest.raises(
        Refused, match=r"no image from ghcr\.io/kairos/ubuntu is kept here"
    ) as caught:
        repository(there, "kairos/ubuntu", "ghcr.io")
    assert caught.value.code is Code.NAME_UNKNOWN


def test_our_own_names_are_not_another_registrys() -> None:
    with pytest.raises(Refused, match=r"no image from quay\.io/ubuntu"):
        repository(fleet(UBUNTU), "ubuntu", "quay.io")


@pytest.mark.parametrize("alias", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_dockers_registry_has_several_names(alias: str) -> None:
    found = repository(fleet(an_image("x", "debian:12")), "library/debian", alias)
    assert list(found.tags) == ["12"]


def test_the_port_belongs_to_the_registry() -> None:
    there = fleet(an_image("x", "registry.lan:5000/x:1"))
    assert repository(there, "x", "registry.lan:5000").tags
    with pytest.raises(Refused):
        repository(there, "x", "registry.lan")


def test_two_registries_with_one_path_are_never_mixed_up() -> None:
    one, two = (an_image(n, f"{n}.lan/kairos/os:1") for n in ("one", "two"))
    there = fleet(one, two)
    assert tag(repository(there, "kairos/os", "one.lan"), "1").digest == digest_of(one)
    assert tag(repository(there, "kairos/os", "two.lan"), "1").digest == digest_of(two)
    unsaid = repository(there, "kairos/os")
    with pytest.raises(Refused, match=r"'one' from one\.lan and 'two' from two\.lan") as caught:
        tag(unsaid, "1")
    assert caught.value.code is Code.MANIFEST_UNKNOWN
    assert by_digest(unsaid, digest_of(two)).digest == digest_of(two)
    with pytest.raises(Refused):
        by_digest(repository(there, "kairos/os", "one.lan"), digest_of(two))


def test_two_registries_that_agree_need_no_choice() -> None:
    there = fleet(an_image("a", "one.lan/os:1"), an_image("a", "two.lan/os:1"))
    same = Fleet(images={"a": there.images["a"], "b": there.images["a"]})
    assert tag(repository(same, "os"), "1").images == ("a",)


def test_our_own_name_wins_over_a_path_of_the_same_name() -> None:
    own = an_image("os", "quay.io/kairos/debian:1")
    other = an_image("other", "registry.lan/os:latest")
    there = fleet(own, other)
    assert tag(repository(there, "os"), "latest").digest == digest_of(own)
    assert tag(repository(there, "os", "registry.lan"), "latest").digest == digest_of(other)
    assert by_digest(repository(there, "os"), digest_of(other)).digest == digest_of(other)


# --- several platforms ---

AMD = an_image("amd", "quay.io/kairos/os:1")
ARM = an_image("arm", "quay.io/kairos/os:1", arch=Arch.ARM64)


def test_one_tag_kept_for_two_platforms_is_an_index() -> None:
    found = repository(fleet(ARM, AMD), "kairos/os")
    offered = tag(found, "1")
    assert offered.data is not None
    assert offered.digest == Digest.of(offered.data)
    assert offered.images == ("amd", "arm")
    listed = json.loads(offered.data)
    assert listed["mediaType"] == offered.media_type == "application/vnd.oci.image.index.v1+json"
    assert [(m["digest"], m["platform"]["architecture"]) for m in listed["manifests"]] == [
        (digest_of(AMD), "amd64"),
        (digest_of(ARM), "arm64"),
    ]
    # containerd resolves a tag with HEAD and then asks for the digest.
    assert by_digest(found, offered.digest) == offered
    assert tag(repository(fleet(AMD, ARM), "kairos/os"), "1") == offered


def test_one_platform_twice_under_one_tag_is_refused() -> None:
    there = fleet(AMD, an_image("other", "quay.io/kairos/os:1"))
    with pytest.raises(Refused, match=r"kairos/os:1 could be 'amd' .* and 'other'"):
        tag(repository(there, "kairos/os"), "1")


def test_platforms_of_two_registries_are_no_index() -> None:
    there = fleet(AMD, an_image("arm", "ghcr.io/kairos/os:1", arch=Arch.ARM64))
    with pytest.raises(Refused):
        tag(repository(there, "kairos/os"), "1")


# --- what is not there ---


def test_blobs_are_those_of_the_repository_and_no_others() -> None:
    found = repository(fleet(UBUNTU, ARCHIVE, former=(OLD,)), "ubuntu")
    for image in (UBUNTU, OLD):
        assert image.content
        for one in (*image.content.blobs, image.content.manifest):
            assert found.blob(one.digest) == one
    for other in (blob("own-1-amd64 layer"), blob("own-1-amd64"), blob("boot")):
        with pytest.raises(Refused) as caught:
            found.blob(other.digest)
        assert caught.value.code is Code.BLOB_UNKNOWN


def test_a_manifest_of_another_repository_is_not_there() -> None:
    with pytest.raises(Refused) as caught:
        by_digest(repository(fleet(UBUNTU, ARCHIVE), "ubuntu"), digest_of(ARCHIVE))
    assert caught.value.code is Code.MANIFEST_UNKNOWN


def test_a_tag_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(Refused, match=r"'ubuntu' has no tag 'v9' here \(tags: latest\)"):
        tag(repository(fleet(UBUNTU), "ubuntu"), "v9")


def test_an_image_of_boot_files_alone_says_why_it_is_not_there() -> None:
    with pytest.raises(Refused, match="of the image 'iso' only the boot files") as caught:
        repository(fleet(ISO), "iso")
    assert caught.value.code is Code.NAME_UNKNOWN
    assert caught.value.http_status == 404


def test_a_name_that_is_unknown_says_where_names_are() -> None:
    with pytest.raises(Refused, match="no image 'x' here: `kairos-netboot images list`"):
        repository(fleet(UBUNTU), "x")


def test_the_catalog_has_every_name_under_which_something_is_served() -> None:
    there = fleet(UBUNTU, ARCHIVE, ISO, an_image("No Name", "oci-archive:/x.tar"))
    assert catalog(there) == {"ubuntu", "kairos/ubuntu", "own"}
    assert all(repository(there, name).contents for name in catalog(there))
