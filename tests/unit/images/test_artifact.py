"""Boot files as an OCI artifact: what it says, and what is not believed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.site import (
    Image,
    ImageFacts,
    ImageSource,
    KernelFiles,
    Medium,
    MediumKind,
)
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.artifact import ARTIFACT_TYPE, is_artifact, pack, unpack
from kairos_netboot.images.manifest import Manifest, parse
from kairos_netboot.values import Arch, Blob, Digest
from tests.unit.boot.sample import IMAGE


def manifest_of(image: Image, **changes: object) -> Manifest:
    packed = pack(image)
    document = json.loads(packed.manifest) | changes
    found = parse(json.dumps(document).encode() if changes else packed.manifest)
    assert isinstance(found, Manifest)
    return found


def test_the_manifest_in_full() -> None:
    image = replace(IMAGE, facts=replace(IMAGE.facts, efi_stub=True))
    packed = pack(image)
    facts = {
        "arch": "amd64",
        "efi_stub": True,
        "flavor": "debian",
        "made_of": IMAGE.digest,
        "version": "v4.2.0",
    }
    kind = "application/vnd.kairos-netboot."
    assert json.loads(packed.config) == facts
    assert json.loads(packed.manifest) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": f"{kind}boot-files.v1",
        "config": {
            "mediaType": f"{kind}facts.v1+json",
            "digest": Digest.of(packed.config),
            "size": len(packed.config),
        },
        "layers": [
            {
                "mediaType": f"{kind}{name}.v1{suffix}",
                "digest": blob.digest,
                "size": blob.size,
                "annotations": {"org.opencontainers.image.title": name},
            }
            for name, suffix, blob in (
                ("kernel", "", IMAGE.boot_files.kernel),
                ("initrd", "", IMAGE.boot_files.initrd),
                ("rootfs", ".squashfs", IMAGE.boot_files.rootfs),
            )
        ],
        "annotations": {
            "org.opencontainers.image.base.digest": IMAGE.digest,
            "io.kairos.netboot.arch": "amd64",
            "io.kairos.netboot.efi-stub": "true",
            "io.kairos.netboot.flavor": "debian",
            "io.kairos.netboot.made-of": IMAGE.digest,
            "io.kairos.netboot.version": "v4.2.0",
        },
    }


def test_what_an_image_is_called_and_where_it_came_from_do_not_change_the_artifact() -> None:
    source = ImageSource(name="other", reference="quay.io/kairos/debian:v4")
    assert pack(replace(IMAGE, name="other", source=source)) == pack(IMAGE)


def test_an_artifact_published_again_is_the_same() -> None:
    packed = pack(IMAGE)
    manifest = manifest_of(IMAGE)
    taken = replace(
        IMAGE, digest=manifest.digest, facts=unpack(manifest, packed.config, Arch.AMD64).facts
    )
    assert taken.facts.made_of == IMAGE.digest
    assert pack(taken) == packed


words = st.text("abc .:-_é0123456789", max_size=30).map(lambda text: " ".join(text.split()))


@given(
    st.builds(
        ImageFacts,
        arch=st.sampled_from(Arch),
        flavor=words,
        flavor_release=words,
        variant=words,
        model=words,
        version=words,
        kernel_version=words,
        efi_stub=st.sampled_from([None, True, False]),
        made_of=st.sampled_from(["", Digest.of(b"source")]),
    )
)
@example(ImageFacts(arch=Arch.RISCV64, efi_stub=False))
def test_facts_and_files_come_back_as_they_were(facts: ImageFacts) -> None:
    image = replace(IMAGE, facts=facts)
    manifest = manifest_of(image)
    assert is_artifact(manifest)
    found = unpack(manifest, pack(image).config, facts.arch)
    assert found.facts == replace(facts, made_of=facts.made_of or image.digest)
    assert found.rootfs
    parts = [found.kernel, found.initrd, found.rootfs]
    assert [Blob(digest=p.digest, size=p.size) for p in parts] == list(image.files)


def test_an_image_without_a_rootfs_comes_back_without() -> None:
    files = KernelFiles(kernel=IMAGE.boot_files.kernel, initrd=IMAGE.boot_files.initrd)
    image = replace(IMAGE, files=files, facts=ImageFacts(arch=Arch.AMD64))
    found = unpack(manifest_of(image), pack(image).config, Arch.AMD64)
    assert found.rootfs is None
    assert found.kernel.digest == files.kernel.digest


def test_a_rootfs_that_is_no_squashfs_comes_back_as_what_it_is() -> None:
    image = replace(IMAGE, facts=ImageFacts(arch=Arch.AMD64, rootfs_format="cpio"))
    found = unpack(manifest_of(image), pack(image).config, Arch.AMD64)
    assert found.rootfs
    assert found.facts.rootfs_format == "cpio"


def test_the_configs_type_is_enough_where_a_registry_drops_the_artifact_type() -> None:
    manifest = manifest_of(IMAGE)
    assert manifest.artifact_type == ARTIFACT_TYPE
    assert is_artifact(replace(manifest, artifact_type=""))


def test_a_container_image_is_no_artifact() -> None:
    manifest = manifest_of(IMAGE)
    config = replace(manifest.config, media_type="application/vnd.oci.image.config.v1+json")
    assert not is_artifact(replace(manifest, artifact_type="", config=config))


def test_another_platform_is_refused() -> None:
    with pytest.raises(ImageProblem, match="are made for linux/amd64, not linux/arm64"):
        unpack(manifest_of(IMAGE), pack(IMAGE).config, Arch.ARM64)


@pytest.mark.parametrize("keep", [(0, 1), (0, 2), (1, 2), (0, 1, 1), (0, 1, 2, 2)])
def test_parts_that_lack_or_come_twice_are_refused(keep: tuple[int, ...]) -> None:
    layers = json.loads(pack(IMAGE).manifest)["layers"]
    manifest = manifest_of(IMAGE, layers=[layers[number] for number in keep])
    with pytest.raises(ImageProblem, match="are not complete: have it published again"):
        unpack(manifest, pack(IMAGE).config, Arch.AMD64)


@given(st.binary(max_size=100))
@example(b"{}")
@example(b"[" * 50_000)
@example(b"[]")
@example(b'{"arch": ["amd64"]}')
@example(b'{"arch": "z80"}')
@example(b'{"arch": "amd64"}')
@example(b'{"arch": "amd64", "made_of": "sha256:../../etc/shadow"}')
@example(b'{"arch": "amd64", "made_of": "sha256:%b", "flavor": 7}' % (b"0" * 64))
@example(b'{"arch": "amd64", "made_of": "sha256:%b", "flavor": {}}' % (b"0" * 64))
def test_facts_of_any_other_kind_are_refused(config: bytes) -> None:
    with pytest.raises(ImageProblem, match="its facts cannot be read: have it published again"):
        unpack(manifest_of(IMAGE), config, Arch.AMD64)


def test_texts_that_terminals_obey_are_made_harmless() -> None:
    facts = {"arch": "amd64", "made_of": IMAGE.digest, "flavor": "a\x1b[2Jb\nc" + "x" * 999}
    found = unpack(manifest_of(IMAGE), json.dumps(facts).encode(), Arch.AMD64).facts
    assert found.flavor.startswith("a [2Jb cxxx")
    assert len(found.flavor) == 200


def test_an_image_that_is_one_file_is_nothing_to_publish() -> None:
    medium = Medium(blob=IMAGE.boot_files.rootfs, kind=MediumKind.ISO)
    with pytest.raises(ImageProblem, match="'debian' is one iso file, which is nothing to publish"):
        pack(replace(IMAGE, files=medium))
