from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from kairos_netboot.images.manifest import Manifest, parse
from kairos_netboot.images.signing import sign, signature_tag
from kairos_netboot.values import Digest

KEY = ec.generate_private_key(ec.SECP256R1())
IMAGE = Digest.of(b"image")
SEALED = sign("registry.example/kairos", IMAGE, KEY)


def manifest() -> Manifest:
    found = parse(SEALED.manifest)
    assert isinstance(found, Manifest)
    return found


def test_the_tag_is_the_digest_with_a_hyphen_and_an_ending() -> None:
    assert signature_tag(IMAGE) == SEALED.tag == f"sha256-{IMAGE.hex}.sig"


def test_the_payload_is_cosigns_byte_for_byte() -> None:
    assert SEALED.blobs[manifest().layers[0].digest].decode() == (
        '{"critical":{"identity":{"docker-reference":"registry.example/kairos"},'
        f'"image":{{"docker-manifest-digest":"{IMAGE}"}},'
        '"type":"cosign container image signature"},"optional":null}'
    )


def test_the_config_is_cosigns_byte_for_byte() -> None:
    # A signature in public use has this config for this payload; only the payload differs here.
    real_payload = "85b872ee7ec8d0f50af531945d6b80d68123b23b90f5c1db9983bef3f58163a2"
    real_config = "16a370d651f6267e54d62173d3fb18f53db71d8637dca358434c9a5a628168fc"
    found = manifest()
    ours = SEALED.blobs[found.config.digest].decode()
    real = ours.replace(found.layers[0].digest.hex, real_payload).encode()
    assert (len(real), Digest.of(real).hex) == (233, real_config)
    assert found.config.size == 233


def test_the_manifest_names_all_blobs_with_their_sizes_and_types() -> None:
    found = manifest()
    assert found.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert found.config.media_type == "application/vnd.oci.image.config.v1+json"
    (layer,) = found.layers
    assert layer.media_type == "application/vnd.dev.cosign.simplesigning.v1+json"
    named = {part.digest: part.size for part in (found.config, layer)}
    assert named == {digest: len(data) for digest, data in SEALED.blobs.items()}
    assert all(Digest.of(data) == digest for digest, data in SEALED.blobs.items())


def test_the_signature_is_ecdsa_over_the_payloads_bytes() -> None:
    (layer,) = manifest().layers
    raw = base64.b64decode(layer.annotations["dev.cosignproject.cosign/signature"])
    KEY.public_key().verify(raw, SEALED.blobs[layer.digest], ec.ECDSA(SHA256()))


def test_signing_again_gives_the_same_bytes() -> None:
    assert sign("registry.example/kairos", IMAGE, KEY) == SEALED


def test_a_reference_with_any_letter_is_kept_whole() -> None:
    sealed = sign('é"\\', IMAGE, KEY)
    found = [json.loads(data) for data in sealed.blobs.values()]
    (payload,) = [document for document in found if "critical" in document]
    assert payload["critical"]["identity"]["docker-reference"] == 'é"\\'
