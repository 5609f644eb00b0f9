"""Checks cosign's signatures of an image with a public key, offline.

Only the key counts: certificates and transparency logs, which cosign checks for signers without
a key of their own, are not looked at.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..errors import ImageProblem
from ..values import Digest
from .keys import PublicKey
from .manifest import MAX_DOCUMENT, Descriptor, Manifest, parse
from .signing import SIGNATURE_KEY, SIGNATURE_TYPE, SIMPLE_SIGNING, signature_tag
from .source import Source, read_whole

# Versions 0.1 to 0.3 hold the same envelope; 0.1 and 0.2 write `bundle+json;version=0.1`.
_BUNDLE_STEM = "application/vnd.dev.sigstore.bundle"
_OLD_REFERRER = "application/vnd.dev.cosign.artifact.sig.v1+json"
# OCI 1.1 wants a listing to give the manifest's own type. Some registries give none; and where
# there is no API for referrers, cosign lists its bundles by their empty config until it takes up
# go-containerregistry 0.22.1. The layers say what these are.
_UNTOLD_TYPES = ("", "application/vnd.oci.empty.v1+json")
_PREDICATE_KEY = "dev.sigstore.bundle.predicateType"
_SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_IN_TOTO = "application/vnd.in-toto+json"
_MAX_PAYLOAD = 1 << 20
_MAX_SIGNATURES = 100  # key rotations and re-signed builds make some ten

_OTHER_KEY = "is not by this key"


def check_signature(source: Source, chain: Sequence[Digest], key: PublicKey) -> None:
    """Accept a signature by `key` of any digest of the chain; else ImageProblem.

    What the source raises while it fetches passes through.
    """
    reasons: list[str] = []
    attempts = (reason for digest in chain for reason in _attempts(source, digest, key))
    for reason in islice(attempts, _MAX_SIGNATURES):
        if not reason:
            return
        reasons.append(reason)
    raise ImageProblem(_refusal(reasons))


def _refusal(reasons: Sequence[str]) -> str:
    if not reasons:
        return "it is not signed: sign it with `cosign sign --key KEY`, or leave the key out"
    count = len(reasons)
    telling = [reason for reason in reasons if reason != _OTHER_KEY]
    if count == 1:
        found = f"its signature {reasons[0]}"
    elif telling:
        found = f"none of its {count} signatures holds (one {telling[0]})"
    else:
        found = f"none of its {count} signatures is by this key"
    if count == _MAX_SIGNATURES:
        found += ", and no more than that are looked at"
    return f"{found}: sign it with `cosign sign --key KEY`, or give the key of who signed it"


def _attempts(source: Source, digest: Digest, key: PublicKey) -> Iterator[str]:
    """For each signature found, why it does not hold; "" for one that does."""
    for data in _signature_manifests(source, digest):
        try:
            manifest = parse(data)
        except ImageProblem:
            yield "has a manifest that cannot be read"
            continue
        if not isinstance(manifest, Manifest):
            yield "is an index, not a manifest"
            continue
        layers = manifest.layers if _is_by_sign(manifest) else ()
        for layer in layers:
            if layer.media_type == SIMPLE_SIGNING or layer.media_type.startswith(_BUNDLE_STEM):
                yield _check_layer(source, layer, digest, key)


def _signature_manifests(source: Source, digest: Digest) -> Iterator[bytes]:
    tagged = source.tagged(signature_tag(digest))
    if tagged is not None:
        yield tagged
    fitting = [found for found in source.referrers(digest) if _may_be_signature(found)]
    fitting.sort(key=lambda found: found.artifact_type in _UNTOLD_TYPES)
    for found in fitting[:_MAX_SIGNATURES]:
        yield read_whole(source.document(found), found)


def _may_be_signature(found: Descriptor) -> bool:
    kind = found.artifact_type
    fits = kind in (_OLD_REFERRER, *_UNTOLD_TYPES) or kind.startswith(_BUNDLE_STEM)
    return fits and _is_by_sign(found) and found.size <= MAX_DOCUMENT


def _is_by_sign(found: Descriptor | Manifest) -> bool:
    # Bundles hold SBOMs and build records too: the annotation tells without reading them.
    return found.annotations.get(_PREDICATE_KEY, _SIGN_PREDICATE) == _SIGN_PREDICATE


def _check_layer(source: Source, layer: Descriptor, digest: Digest, key: PublicKey) -> str:
    if layer.size > _MAX_PAYLOAD:
        return f"has a payload of more than {_MAX_PAYLOAD >> 20} MiB"
    data = read_whole(source.blob(layer), layer)
    if layer.media_type == SIMPLE_SIGNING:
        return _check_simple(data, layer.annotations.get(SIGNATURE_KEY, ""), digest, key)
    return _check_bundle(data, digest, key)


def _check_simple(payload: bytes, signature: str, digest: Digest, key: PublicKey) -> str:
    raw = _base64(signature)
    if not raw:
        return f"has no signature in its annotation {SIGNATURE_KEY}"
    if not _verify(key, raw, payload):
        return _OTHER_KEY
    critical = _at(_load(payload), "critical")
    if _at(critical, "type") != SIGNATURE_TYPE:
        return "is by this key, but is no signature of an image"
    if _at(critical, "image", "docker-manifest-digest") != digest:
        return "is by this key, but of another image"
    return ""


def _check_bundle(data: bytes, digest: Digest, key: PublicKey) -> str:
    envelope = _at(_load(data), "dsseEnvelope")
    signatures = _at(envelope, "signatures")
    # The bundle's specification allows one signature in its envelope, no more and no less.
    if not isinstance(signatures, list) or len(signatures) != 1:
        return "is a bundle without the one signed envelope it should hold"
    body, raw = _base64(_at(envelope, "payload")), _base64(_at(signatures[0], "sig"))
    if not body or not raw or _at(envelope, "payloadType") != _IN_TOTO:
        return "is a bundle whose envelope holds no signed statement"
    if not _verify(key, raw, encode_envelope(_IN_TOTO, body)):
        return _OTHER_KEY
    return _check_statement(_load(body), digest)


def _check_statement(statement: object, digest: Digest) -> str:
    kind, predicate = _at(statement, "_type"), _at(statement, "predicateType")
    if kind not in _STATEMENTS or predicate != _SIGN_PREDICATE:
        return "is by this key, but is no signature of an image"
    subjects = _at(statement, "subject")
    if not isinstance(subjects, list):
        subjects = []
    if digest.hex not in [_at(subject, "digest", "sha256") for subject in subjects]:
        return "is by this key, but of another image"
    return ""


def encode_envelope(payload_type: str, body: bytes) -> bytes:
    """The bytes that a DSSE envelope's signature is over: its pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def _verify(key: PublicKey, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, data, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _base64(value: object) -> bytes:
    """Empty for all that is not base64."""
    if not isinstance(value, str):
        return b""
    # Go ignores line ends, and `base64 | cosign attach signature` leaves some.
    lines = value.replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(lines, validate=True)
    except ValueError:
        return b""


def _load(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _at(value: Any, *keys: str) -> Any:
    """What is under the keys, one inside the other; None where there is no such thing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
