"""Signs what is published and exported, as cosign does with a key."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from ..values import Blob, Digest
from .keys import PrivateKey
from .manifest import encode, encode_manifest, entry

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_KEY = "dev.cosignproject.cosign/signature"
SIGNATURE_TYPE = "cosign container image signature"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_EPOCH = "0001-01-01T00:00:00Z"  # Go's zero time, which cosign writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A signature as the image that it is pushed as; `blobs` are its config and its payload."""

    tag: str
    manifest: bytes
    blobs: Mapping[Digest, bytes]


def signature_tag(digest: Digest) -> str:
    """The tag that cosign files the signatures of `digest` under."""
    return f"sha256-{digest.hex}.sig"


def sign(reference: str, digest: Digest, key: PrivateKey) -> Sealed:
    """A signature that `digest` is what `reference` names. The same, the same bytes."""
    payload = _payload(reference, digest)
    config = _config(payload)
    annotations = {SIGNATURE_KEY: _signature(payload, key)}
    manifest = encode_manifest(
        entry(_CONFIG_TYPE, Blob.of(config)),
        [entry(SIMPLE_SIGNING, Blob.of(payload), annotations=annotations)],
    )
    return Sealed(
        tag=signature_tag(digest),
        manifest=manifest,
        blobs={Digest.of(data): data for data in (config, payload)},
    )


def _signature(payload: bytes, key: PrivateKey) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    # RFC 6979: without chance in it, so that an export made again has the same bytes.
    raw = key.sign(payload, ECDSA(SHA256(), deterministic_signing=True))
    return base64.b64encode(raw).decode()


def _payload(reference: str, digest: Digest) -> bytes:
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": SIGNATURE_TYPE,
    }
    return encode({"critical": critical, "optional": None})


def _config(payload: bytes) -> bytes:
    """What cosign's library writes for an image whose only layer is the payload."""
    return encode(
        {
            "architecture": "",
            "created": _EPOCH,
            "history": [{"created": _EPOCH}],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(payload)]},
            "config": {},
        }
    )
