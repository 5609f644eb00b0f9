"""Boot files as an OCI artifact: made once by a builder, taken as they are by edge boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ..boot.site import Image, ImageFacts, Medium
from ..errors import ImageProblem
from ..values import Arch, Blob, Digest, printable
from .manifest import Descriptor, Manifest, encode, encode_manifest, entry

ARTIFACT_TYPE = "application/vnd.kairos-netboot.boot-files.v1"
FACTS_TYPE = "application/vnd.kairos-netboot.facts.v1+json"
_PART_TYPES = {
    "kernel": "application/vnd.kairos-netboot.kernel.v1",
    "initrd": "application/vnd.kairos-netboot.initrd.v1",
    "rootfs": "application/vnd.kairos-netboot.rootfs.v1.squashfs",
}
BOOT_PARTS = tuple(_PART_TYPES)
# OCI's own name for what something is made of, and ours for the facts.
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_TITLE = "org.opencontainers.image.title"
_FACT = "io.kairos.netboot."
_TEXTS = [field.name for field in fields(ImageFacts) if field.name not in ("arch", "efi_stub")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What an artifact says it holds. Nothing of it is fetched yet."""

    facts: ImageFacts
    kernel: Descriptor
    initrd: Descriptor
    rootfs: Descriptor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The two small documents of an artifact; the rest of it are the boot files themselves."""

    manifest: bytes
    config: bytes


def pack(image: Image) -> Packed:
    """The same image gives the same bytes, whatever it is called, and wherever it came from.

    Raises ImageProblem for one that is one file.
    """
    if isinstance(image.files, Medium):
        raise ImageProblem(
            f"image '{image.name}' is one {image.files.kind} file, which is nothing to publish: put"
            " it on a web server and write uki:URL, or export a bundle"
        )
    facts = {**_facts(image.facts), "made_of": image.facts.made_of or image.digest}
    config = encode(facts)
    manifest = encode_manifest(
        entry(FACTS_TYPE, Blob.of(config)),
        [
            entry(_PART_TYPES[part], blob, annotations={_TITLE: part})
            for part, blob in zip(_PART_TYPES, image.files, strict=False)
        ],
        artifactType=ARTIFACT_TYPE,
        annotations=_annotations(facts),
    )
    return Packed(manifest=manifest, config=config)


def is_artifact(manifest: Manifest) -> bool:
    return manifest.artifact_type == ARTIFACT_TYPE or manifest.config.media_type == FACTS_TYPE


def unpack(manifest: Manifest, config: bytes, arch: Arch) -> Artifact:
    """Raises ImageProblem where it is not what `pack` makes, or for another architecture."""
    facts = _parse_facts(config)
    if facts.arch is not arch:
        raise ImageProblem(f"its boot files are made for linux/{facts.arch}, not linux/{arch}")
    parts = {layer.media_type: layer for layer in manifest.layers}
    found = {part: parts[kind] for part, kind in _PART_TYPES.items() if kind in parts}
    if not {"kernel", "initrd"} <= set(found) or len(found) != len(manifest.layers):
        raise ImageProblem("its boot files are not complete: have it published again")
    if "rootfs" not in found and facts.version:
        raise ImageProblem("its boot files are not complete: have it published again")
    return Artifact(facts=facts, **found)


def _facts(facts: ImageFacts) -> dict[str, object]:
    return {key: value for key, value in asdict(facts).items() if value not in ("", None)}


def _annotations(facts: Mapping[str, object]) -> dict[str, str]:
    """For people, who see them with `skopeo inspect --raw`; `add` reads the config."""
    told = {_FACT + key.replace("_", "-"): _told(value) for key, value in facts.items()}
    return {_BASE_DIGEST: str(facts["made_of"])} | told


def _told(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse_facts(config: bytes) -> ImageFacts:
    try:
        document = json.loads(config)
        stub = document.get("efi_stub")
        texts = {key: printable(document.get(key, "")) for key in _TEXTS}
        Digest(texts["made_of"])
        return ImageFacts(
            arch=Arch(document["arch"]), efi_stub=stub if isinstance(stub, bool) else None, **texts
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ImageProblem("its facts cannot be read: have it published again") from None
