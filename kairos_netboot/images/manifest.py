"""Indexes, manifests and configs of images, OCI's and Docker's, as values. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from ..errors import ImageProblem, InvalidValue
from ..values import Arch, Blob, Digest

# Registries refuse manifests above 4 MiB; nobody needs more for a config either.
MAX_DOCUMENT = 4 << 20
MAX_LAYERS = 500  # overlayfs and Docker stop at 128

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LAYER_STEMS = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"  # of `docker save` and `buildx build --output type=oci`


class LayerFormat(StrEnum):
    """How a layer's tar is packed."""

    TAR = "tar"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A pointer to a document or layer. `platform` as `linux/amd64`; empty: not stated."""

    media_type: str
    digest: Digest
    size: int
    platform: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blob(self) -> Blob:
        return Blob(digest=self.digest, size=self.size)

    @property
    def names(self) -> tuple[str, ...]:
        """What a layout's index.json calls it: tags, or full names, as some tools write."""
        return tuple(filter(None, (self.annotations.get(key) for key in (REF_NAME, _FULL_NAME))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    digest: Digest
    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`data`: its very bytes. `subject`: the manifest it is attached to, as signatures are."""

    digest: Digest
    data: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: its blob, and `diff_id`, the digest of the tar inside."""

    number: int  # from 1, lowest first
    descriptor: Descriptor
    format: LayerFormat
    diff_id: Digest


Document: TypeAlias = Mapping[str, object]


def parse(data: bytes) -> Index | Manifest:
    """Read an index or a manifest, or raise ImageProblem."""
    document = _load(data)
    media_type = document.get("mediaType")
    if media_type in INDEX_TYPES or (not media_type and "manifests" in document):
        return Index(digest=Digest.of(data), manifests=_descriptors(document, "manifests"))
    if media_type in MANIFEST_TYPES or (not media_type and "layers" in document):
        return _manifest(data, document)
    if document.get("schemaVersion") == 1:
        raise ImageProblem("its manifest has Docker's schema 1 of 2014: push the image again")
    raise ImageProblem(f"its manifest is of a kind not known here, '{str(media_type)[:80]}'")


def choose(index: Index, arch: Arch) -> Descriptor:
    """The manifest for Linux on `arch`, or raise ImageProblem."""
    wanted = f"linux/{arch}"
    fitting = [d for d in index.manifests if d.platform == wanted]
    unnamed = [d for d in index.manifests if not d.platform]
    if fitting:
        return fitting[0]
    if len(unnamed) == 1:  # a layout's index.json states no platform; its config will
        return unnamed[0]
    # BuildKit files its build records under the platform unknown/unknown.
    known = {d.platform for d in index.manifests} - {"", "unknown/unknown"}
    offered = ", ".join(sorted(known)) or "none"
    raise ImageProblem(f"it has no image for {wanted}: it offers {offered}")


def layers_of(manifest: Manifest, config: bytes, arch: Arch) -> tuple[Layer, ...]:
    """The layers with the digests of their tars, from the image's config; or ImageProblem."""
    document = _load(config)
    system, machine = document.get("os"), document.get("architecture")
    if (system, machine) != ("linux", str(arch)):
        raise ImageProblem(
            f"it is made for {str(system)[:20]}/{str(machine)[:20]}, not linux/{arch}"
        )
    rootfs = document.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(manifest.layers):
        raise ImageProblem("its config does not list the layers its manifest lists")
    return tuple(
        Layer(
            number=number,
            descriptor=layer,
            format=_layer_format(layer, number),
            diff_id=_digest(diff_id),
        )
        for number, (layer, diff_id) in enumerate(zip(manifest.layers, diff_ids, strict=True), 1)
    )


def encode(document: object) -> bytes:
    """As a digest is taken of it: the same document, the same bytes."""
    return json.dumps(document, separators=(",", ":")).encode()


def entry(media_type: str, blob: Blob, **more: object) -> dict[str, object]:
    """A descriptor, to be written."""
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size, **more}


def encode_manifest(config: object, layers: Sequence[object], **more: object) -> bytes:
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": config}
    return encode({**document, "layers": layers, **more})


def _load(data: bytes) -> Document:
    if len(data) > MAX_DOCUMENT:
        raise ImageProblem(f"a document of more than {MAX_DOCUMENT >> 20} MiB: no manifest")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ImageProblem("its manifest or config is not JSON") from None
    if not isinstance(document, dict):
        raise ImageProblem("its manifest or config is not a JSON object")
    return document


def _manifest(data: bytes, document: Document) -> Manifest:
    layers = _descriptors(document, "layers")
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ImageProblem(f"it has {len(layers)} layers: an image has 1 to {MAX_LAYERS}")
    config = _descriptor(document.get("config"))
    subject = document.get("subject")
    return Manifest(
        digest=Digest.of(data),
        data=data,
        media_type=str(document.get("mediaType") or MANIFEST_TYPES[0]),
        config=config,
        layers=layers,
        # OCI 1.1: without an artifactType, the config's media type says what it is.
        artifact_type=str(document.get("artifactType") or config.media_type),
        annotations=_annotations(document),
        subject=_descriptor(subject).digest if subject else None,
    )


def _descriptors(document: Document, key: str) -> tuple[Descriptor, ...]:
    entries = document.get(key)
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ImageProblem(f"its manifest has no list '{key}'")
    return tuple(_descriptor(entry) for entry in entries)


def _descriptor(entry: object) -> Descriptor:
    if not isinstance(entry, dict):
        raise ImageProblem("its manifest has a broken descriptor")
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageProblem("its manifest has a descriptor without a size")
    return Descriptor(
        media_type=str(entry.get("mediaType", "")),
        digest=_digest(entry.get("digest")),
        size=size,
        platform=_platform(entry.get("platform")),
        artifact_type=str(entry.get("artifactType", "")),
        annotations=_annotations(entry),
    )


def _annotations(document: Document) -> dict[str, str]:
    found = document.get("annotations")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _digest(value: object) -> Digest:
    try:
        return Digest(str(value))
    except InvalidValue:
        raise ImageProblem(f"its manifest names '{str(value)[:80]}': not a sha256 digest") from None


def _platform(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    return f"{str(value.get('os'))[:20]}/{str(value.get('architecture'))[:20]}"


def _layer_format(layer: Descriptor, number: int) -> LayerFormat:
    for stem in _LAYER_STEMS:
        match layer.media_type.removeprefix(stem):
            case "":
                return LayerFormat.TAR
            case "+gzip" | ".gzip":
                return LayerFormat.GZIP
            case "+zstd" | ".zstd":
                return LayerFormat.ZSTD
    raise ImageProblem(f"layer {number} is '{layer.media_type[:80]}': not a layer of an image")
