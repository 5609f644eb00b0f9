from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.manifest import (
    MAX_DOCUMENT,
    Index,
    LayerFormat,
    Manifest,
    choose,
    layers_of,
    parse,
)
from kairos_netboot.values import Arch, Digest
from tests.images_factory import encoded

D1, D2, D3 = (Digest.of(text) for text in (b"1", b"2", b"3"))
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def entry(digest: Digest, kind: str = "", **more: object) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": 5, **more}


def platform(arch: str, os: str = "linux") -> dict[str, object]:
    return {"platform": {"os": os, "architecture": arch}}


def index(*entries: dict[str, object]) -> Index:
    parsed = parse(encoded({"schemaVersion": 2, "manifests": list(entries)}))
    assert isinstance(parsed, Index)
    return parsed


def manifest(*kinds: str) -> Manifest:
    layers = [entry(D2, kind) for kind in kinds]
    parsed = parse(encoded({"schemaVersion": 2, "config": entry(D1), "layers": layers}))
    assert isinstance(parsed, Manifest)
    return parsed


def config(count: int, arch: str = "amd64", os: str = "linux") -> bytes:
    return encoded({"os": os, "architecture": arch, "rootfs": {"diff_ids": [D3] * count}})


def test_the_manifest_for_the_platform_is_chosen() -> None:
    both = index(entry(D1) | platform("arm64"), entry(D2) | platform("amd64"))
    assert choose(both, Arch.AMD64).digest == D2
    assert choose(both, Arch.ARM64).digest == D1


def test_a_platform_that_is_not_offered_lists_those_that_are() -> None:
    both = index(entry(D1) | platform("arm64"), entry(D2) | platform("unknown", "unknown"))
    with pytest.raises(ImageProblem, match=r"no image for linux/amd64: it offers linux/arm64$"):
        choose(both, Arch.AMD64)


def test_the_only_manifest_without_a_platform_is_taken() -> None:
    assert choose(index(entry(D1)), Arch.AMD64).digest == D1


def test_of_several_manifests_without_a_platform_none_is_guessed() -> None:
    with pytest.raises(ImageProblem, match="it offers none"):
        choose(index(entry(D1), entry(D2)), Arch.AMD64)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (OCI_LAYER, LayerFormat.TAR),
        (OCI_LAYER + "+gzip", LayerFormat.GZIP),
        (OCI_LAYER + "+zstd", LayerFormat.ZSTD),
        (DOCKER_LAYER, LayerFormat.TAR),
        (DOCKER_LAYER + ".gzip", LayerFormat.GZIP),
        (DOCKER_LAYER + ".zstd", LayerFormat.ZSTD),
    ],
)
def test_layers_of_both_families_are_known(kind: str, form: LayerFormat) -> None:
    (layer,) = layers_of(manifest(kind), config(1), Arch.AMD64)
    assert (layer.number, layer.format, layer.diff_id) == (1, form, D3)


def test_a_layer_of_another_kind_is_refused_by_its_number() -> None:
    kinds = (OCI_LAYER, OCI_LAYER + "+gzip+encrypted")
    with pytest.raises(ImageProblem, match=r"layer 2 is .*encrypted"):
        layers_of(manifest(*kinds), config(2), Arch.AMD64)


@pytest.mark.parametrize(
    "text",
    [config(1, arch="arm64"), config(1, os="windows"), config(2), b"{}", encoded({"rootfs": 1})],
)
def test_a_config_that_does_not_fit_is_refused(text: bytes) -> None:
    with pytest.raises(ImageProblem):
        layers_of(manifest(OCI_LAYER), text, Arch.AMD64)


def test_the_digest_of_a_manifest_is_that_of_its_bytes() -> None:
    data = encoded({"schemaVersion": 2, "config": entry(D1), "layers": [entry(D2)]})
    parsed = parse(data)
    assert isinstance(parsed, Manifest)
    assert parsed.digest == Digest.of(data)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"schemaVersion": 1}, "schema 1"),
        ({"mediaType": "application/x"}, "not known here, 'application/x'"),
        ({"manifests": 1}, "no list 'manifests'"),
        ({"manifests": ["x"]}, "broken descriptor"),
        ({"manifests": [{"digest": D1, "size": -1}]}, "without a size"),
        ({"manifests": [{"digest": D1, "size": True}]}, "without a size"),
        ({"manifests": [{"digest": "sha512:00", "size": 1}]}, "not a sha256 digest"),
        ({"config": entry(D1), "layers": []}, "0 layers"),
        ({"config": entry(D1), "layers": [entry(D1)] * 501}, "501 layers"),
        ([], "not a JSON object"),
    ],
)
def test_a_broken_manifest_is_one_clear_line(document: Any, words: str) -> None:
    with pytest.raises(ImageProblem, match=words):
        parse(encoded(document))


def test_a_manifest_of_absurd_size_or_depth_is_refused() -> None:
    with pytest.raises(ImageProblem, match="more than 4 MiB"):
        parse(b" " * (MAX_DOCUMENT + 1))
    with pytest.raises(ImageProblem, match="not JSON"):
        parse(b"[" * 1_000_000)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)


@given(
    st.dictionaries(
        st.sampled_from(["schemaVersion", "mediaType", "manifests", "layers", "config"]), _JSON
    )
)
def test_any_document_is_read_or_is_an_image_problem(document: dict[str, object]) -> None:
    with contextlib.suppress(ImageProblem):
        parse(json.dumps(document).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_are_an_image_problem(data: bytes) -> None:
    with contextlib.suppress(ImageProblem):
        parse(data)
