from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.keys import PublicKey, load_public_key
from kairos_netboot.images.manifest import Descriptor, Index
from kairos_netboot.images.signature import check_signature, encode_envelope
from kairos_netboot.images.signing import sign, signature_tag
from kairos_netboot.images.source import Source
from kairos_netboot.values import Digest
from tests.images_factory import encoded

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
IMAGE, PLATFORM, STRANGER = (Digest.of(text) for text in (b"index", b"platform", b"stranger"))

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
OLD_REFERRER = "application/vnd.dev.cosign.artifact.sig.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
SIGN = "https://sigstore.dev/cosign/sign/v1"
PREDICATE = "dev.sigstore.bundle.predicateType"
WAY_OUT = "sign it with `cosign sign --key KEY`, or give the key of who signed it"

# cosign made this one; sigstore's own test suites carry it.
COSIGN_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENptdY/l3nB0yqkXLBWkZWQwo6+cu
OSWS1X9vPavpiQOoTTGC0xX57OojUadxF1cdQmrsiReWg2Wn4FneJfa8xw==
-----END PUBLIC KEY-----"""
COSIGN_IMAGE = Digest("sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b")
COSIGN_PAYLOAD = (
    '{"critical":{"identity":{"docker-reference":"registry-testing.svc.lan/busybox"},'
    f'"image":{{"docker-manifest-digest":"{COSIGN_IMAGE}"}},'
    '"type":"cosign container image signature"},"optional":null}'
).encode()
COSIGN_SIGNATURE = (
    "MEUCIQD6q/COgzOyW0YH1Dk+CCYSt4uAhm3FDHUwvPI55zwnlwIg"
    "E0ZK58ZOWpZw8YVmBapJhBqCfdPekIknimuO0xH8Jh8="
)
# `openssl dgst -sha256 -sign` made these two, of a payload and of a DSSE encoding.
OPENSSL_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEotGxBNX38cnwV35G5t5AQyMnD8pJ
ZoMZ1sGgsc6YMsb+Sc+YZxdQycVjH6Sy4voSuNNrj1gntk1xJLQS09tWdg==
-----END PUBLIC KEY-----"""
OPENSSL_IMAGE = Digest.of(b"golden manifest")
OPENSSL_SIMPLE = (
    "MEQCICyTioPg1ujcVqdqRn2CLXg6pC+n+vFab/wiMY6YrjScAiBV"
    "FkYstWh6nuAoSss1kWzHfhAnQ8MOOXjqFCDC9YxVlA=="
)
OPENSSL_BUNDLE = (
    "MEUCIQD92e0id6SCtXSgqGeaYEe/+CSDrMbC8lX+M9i1yziIcgIg"
    "cnRh4YadRO5BIDL1YCh/owjY/b1ztBdXdUU0V+ZTym8="
)


@dataclass
class Shelf:
    """A repository in dicts."""

    tags: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    attached: dict[Digest, list[Descriptor]] = field(default_factory=dict)
    read: list[Digest] = field(default_factory=list)

    def put(self, data: bytes) -> Digest:
        self.blobs[Digest.of(data)] = data
        return Digest.of(data)

    def fetch(self, descriptor: Descriptor) -> Iterator[bytes]:
        self.read.append(descriptor.digest)
        yield self.blobs[descriptor.digest]

    def attach(self, subject: Digest, kind: str, manifest: bytes, **annotations: str) -> None:
        found = Descriptor(
            media_type="application/vnd.oci.image.manifest.v1+json",
            digest=self.put(manifest),
            size=len(manifest),
            artifact_type=kind,
            annotations=annotations,
        )
        self.attached.setdefault(subject, []).append(found)

    def source(self) -> Source:
        return Source(
            top=lambda: Index(digest=IMAGE, manifests=()),
            document=self.fetch,
            blob=self.fetch,
            tagged=self.tags.get,
            referrers=lambda digest: tuple(self.attached.get(digest, ())),
        )


def signature_of(data: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(data, ec.ECDSA(SHA256()))).decode()


def payload_of(digest: str, kind: str = "cosign container image signature") -> bytes:
    critical = {"image": {"docker-manifest-digest": digest}, "type": kind}
    return encoded({"critical": critical, "optional": {"builder": "ci"}})


def manifest_of(shelf: Shelf, *layers: tuple[bytes, str, dict[str, str]]) -> bytes:
    entries = [
        {
            "mediaType": kind,
            "digest": shelf.put(data),
            "size": len(data),
            "annotations": notes,
        }
        for data, kind, notes in layers
    ]
    config = {"mediaType": "", "digest": shelf.put(b"{}"), "size": 2}
    return encoded({"schemaVersion": 2, "config": config, "layers": entries})


def simple(payload: bytes, signature: str) -> tuple[bytes, str, dict[str, str]]:
    return payload, SIMPLE, {SIGNATURE: signature}


def tagged(digest: Digest, *signed: tuple[bytes, str]) -> Shelf:
    shelf = Shelf()
    shelf.tags[signature_tag(digest)] = manifest_of(shelf, *(simple(*each) for each in signed))
    return shelf


def statement_of(*digests: Digest, kind: str = STATEMENT, predicate: str = SIGN) -> bytes:
    subjects = [{"digest": {"sha256": digest.hex}, "annotations": {}} for digest in digests]
    return encoded(
        {"_type": kind, "subject": subjects, "predicateType": predicate, "predicate": {}}
    )


def bundle_of(statement: bytes, signature: str, payload_type: str = IN_TOTO) -> bytes:
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": payload_type,
        "signatures": [{"sig": signature}],
    }
    material = {"publicKey": {"hint": "5RyV3HLG"}}
    return encoded(
        {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}
    )


def signed_bundle(statement: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return bundle_of(statement, signature_of(encode_envelope(IN_TOTO, statement), key))


def bundled(bundle: bytes, kind: str = BUNDLE) -> Shelf:
    shelf = Shelf()
    shelf.attach(IMAGE, kind, manifest_of(shelf, (bundle, kind, {})))
    return shelf


def check(shelf: Shelf, *chain: Digest, key: PublicKey | None = None) -> None:
    check_signature(shelf.source(), chain or (IMAGE,), key or KEY.public_key())


def refused(shelf: Shelf, *chain: Digest, key: PublicKey | None = None) -> str:
    with pytest.raises(ImageProblem) as caught:
        check(shelf, *chain, key=key)
    return str(caught.value)


# The form under a tag


def test_what_we_sign_we_accept() -> None:
    sealed = sign("registry.example/kairos", IMAGE, KEY)
    check(Shelf(tags={sealed.tag: sealed.manifest}, blobs=dict(sealed.blobs)))


def test_what_cosign_signed_is_accepted() -> None:
    shelf = tagged(COSIGN_IMAGE, (COSIGN_PAYLOAD, COSIGN_SIGNATURE))
    check(shelf, COSIGN_IMAGE, key=load_public_key(COSIGN_KEY, "key"))


def test_what_openssl_signed_is_accepted() -> None:
    payload = COSIGN_PAYLOAD.replace(COSIGN_IMAGE.encode(), OPENSSL_IMAGE.encode())
    payload = payload.replace(b"registry-testing.svc.lan/busybox", b"registry.example/kairos")
    shelf = tagged(OPENSSL_IMAGE, (payload, OPENSSL_SIMPLE))
    check(shelf, OPENSSL_IMAGE, key=load_public_key(OPENSSL_KEY, "key"))


def test_line_ends_inside_a_signature_do_not_matter() -> None:
    # `base64 | cosign attach signature` leaves them there.
    broken = COSIGN_SIGNATURE[:76] + "\n" + COSIGN_SIGNATURE[76:] + "\r\n"
    shelf = tagged(COSIGN_IMAGE, (COSIGN_PAYLOAD, broken))
    check(shelf, COSIGN_IMAGE, key=load_public_key(COSIGN_KEY, "key"))


def test_an_unsigned_image_is_refused() -> None:
    assert refused(Shelf(), IMAGE, PLATFORM) == (
        "it is not signed: sign it with `cosign sign --key KEY`, or leave the key out"
    )


def test_a_signature_by_another_key_is_refused() -> None:
    payload = payload_of(IMAGE)
    shelf = tagged(IMAGE, (payload, signature_of(payload, OTHER)))
    assert refused(shelf) == f"its signature is not by this key: {WAY_OUT}"


def test_several_signatures_by_other_keys_are_counted() -> None:
    payload = payload_of(IMAGE)
    shelf = tagged(IMAGE, *[(payload, signature_of(payload, OTHER)) for _ in range(3)])
    assert refused(shelf) == f"none of its 3 signatures is by this key: {WAY_OUT}"


def test_one_good_signature_among_others_is_enough() -> None:
    payload = payload_of(IMAGE)
    others = [(payload, signature_of(payload, OTHER)), (payload, "nonsense"), (b"", "")]
    check(tagged(IMAGE, *others, (payload, signature_of(payload))))


def test_a_signature_of_another_image_is_refused() -> None:
    payload = payload_of(STRANGER)
    shelf = tagged(IMAGE, (payload, signature_of(payload)))
    assert refused(shelf) == f"its signature is by this key, but of another image: {WAY_OUT}"


def test_the_most_telling_reason_is_named_among_several() -> None:
    other, foreign = payload_of(IMAGE), payload_of(STRANGER)
    shelf = tagged(IMAGE, (other, signature_of(other, OTHER)), (foreign, signature_of(foreign)))
    assert refused(shelf) == (
        f"none of its 2 signatures holds (one is by this key, but of another image): {WAY_OUT}"
    )


@pytest.mark.parametrize("kind", ["atomic container signature", "", "Cosign container image"])
def test_a_payload_of_another_type_is_no_signature_of_an_image(kind: str) -> None:
    payload = payload_of(IMAGE, kind)
    shelf = tagged(IMAGE, (payload, signature_of(payload)))
    assert "is by this key, but is no signature of an image" in refused(shelf)


def test_a_changed_payload_is_refused() -> None:
    signature = signature_of(payload_of(STRANGER))
    shelf = tagged(IMAGE, (payload_of(IMAGE), signature))
    assert "is not by this key" in refused(shelf)


def test_a_payload_that_is_not_what_its_manifest_names_is_refused() -> None:
    payload = payload_of(IMAGE)
    shelf = tagged(IMAGE, (payload, signature_of(payload)))
    shelf.blobs[Digest.of(payload)] = payload.replace(b"ci", b"me")
    assert "came with other content" in refused(shelf)
    shelf.blobs[Digest.of(payload)] = payload + b" "
    assert "came with more than" in refused(shelf)


def test_a_digest_that_only_begins_alike_is_another_image() -> None:
    for wrong in (IMAGE.hex, IMAGE + "0", IMAGE.upper(), ""):
        payload = payload_of(wrong)
        shelf = tagged(IMAGE, (payload, signature_of(payload)))
        assert "of another image" in refused(shelf)


@pytest.mark.parametrize("signature", ["", "!", "====", "YQ", "é"])
def test_a_layer_without_base64_is_no_signature(signature: str) -> None:
    shelf = tagged(IMAGE, (payload_of(IMAGE), signature))
    assert f"has no signature in its annotation {SIGNATURE}" in refused(shelf)


def test_a_signature_with_other_letters_in_between_is_none() -> None:
    shelf = tagged(COSIGN_IMAGE, (COSIGN_PAYLOAD, "*" + COSIGN_SIGNATURE))
    assert "has no signature" in refused(shelf, COSIGN_IMAGE)


# Which digest is signed


def test_a_signature_of_any_digest_on_the_way_to_the_image_holds() -> None:
    for digest in (IMAGE, PLATFORM):
        payload = payload_of(digest)
        check(tagged(digest, (payload, signature_of(payload))), IMAGE, PLATFORM)


def test_a_signature_of_a_digest_that_was_not_passed_does_not_hold() -> None:
    payload = payload_of(PLATFORM)
    shelf = tagged(PLATFORM, (payload, signature_of(payload)))
    assert "it is not signed" in refused(shelf, IMAGE)


def test_a_signature_of_the_index_under_the_tag_of_the_manifest_does_not_hold() -> None:
    payload = payload_of(IMAGE)
    shelf = tagged(PLATFORM, (payload, signature_of(payload)))
    assert "of another image" in refused(shelf, IMAGE, PLATFORM)


def test_a_good_signature_of_the_index_ends_the_search() -> None:
    payload = payload_of(IMAGE)
    shelf = tagged(IMAGE, (payload, signature_of(payload)))
    shelf.attach(IMAGE, BUNDLE, b"never read")
    check(shelf, IMAGE, PLATFORM)
    assert shelf.read == [Digest.of(payload)]


# The form of OCI 1.1


@pytest.mark.parametrize("kind", [OLD_REFERRER, ""])
def test_simple_signatures_are_found_among_the_referrers(kind: str) -> None:
    shelf, payload = Shelf(), payload_of(IMAGE)
    shelf.attach(IMAGE, kind, manifest_of(shelf, simple(payload, signature_of(payload))))
    check(shelf)


def test_referrers_of_other_kinds_are_not_read() -> None:
    shelf = Shelf()
    shelf.attach(IMAGE, "application/spdx+json", b"an SBOM")
    shelf.attach(IMAGE, BUNDLE, b"a build record", **{PREDICATE: "https://slsa.dev/provenance/v1"})
    assert "it is not signed" in refused(shelf)
    assert shelf.read == []


@pytest.mark.parametrize("kind", [EMPTY, ""])
def test_a_bundle_that_is_listed_without_its_type_is_found(kind: str) -> None:
    # What cosign 3 leaves in a registry without the API for referrers.
    shelf = Shelf()
    bundle = signed_bundle(statement_of(IMAGE))
    shelf.attach(IMAGE, kind, manifest_of(shelf, (bundle, BUNDLE, {})))
    check(shelf)
    assert "is not by this key" in refused(shelf, key=OTHER.public_key())


def test_a_build_record_that_is_listed_without_its_type_is_no_signature() -> None:
    shelf = Shelf()
    record = statement_of(IMAGE, predicate="https://slsa.dev/provenance/v1")
    manifest = manifest_of(shelf, (signed_bundle(record), BUNDLE, {}))
    told = {"annotations": {PREDICATE: "https://slsa.dev/provenance/v1"}}
    shelf.attach(IMAGE, EMPTY, encoded(json.loads(manifest) | told))
    assert "it is not signed" in refused(shelf)


def test_referrers_that_say_they_are_signatures_are_read_before_those_that_say_nothing() -> None:
    shelf = bundled(signed_bundle(statement_of(IMAGE)))
    for number in range(100):
        shelf.attach(IMAGE, EMPTY, b"%d" % number)
    shelf.attached[IMAGE].reverse()
    check(shelf)
    assert len(shelf.read) == 2


def test_a_referrer_that_is_not_what_was_listed_is_refused() -> None:
    shelf, payload = Shelf(), payload_of(IMAGE)
    shelf.attach(IMAGE, BUNDLE, manifest_of(shelf, simple(payload, signature_of(payload))))
    (listed,) = shelf.attached[IMAGE]
    shelf.blobs[listed.digest] += b" "
    assert "came with more than" in refused(shelf)


@pytest.mark.parametrize("kind", [BUNDLE, "application/vnd.dev.sigstore.bundle+json;version=0.3"])
def test_a_bundle_is_accepted(kind: str) -> None:
    check(bundled(signed_bundle(statement_of(IMAGE)), kind))
    check(bundled(signed_bundle(statement_of(STRANGER, IMAGE)), kind))


def test_a_bundle_with_openssls_signature_is_accepted() -> None:
    statement = (
        f'{{"_type":"{STATEMENT}","subject":[{{"digest":{{"sha256":"{OPENSSL_IMAGE.hex}"}},'
        f'"annotations":{{}}}}],"predicateType":"{SIGN}","predicate":{{}}}}'
    ).encode()
    shelf, bundle = Shelf(), bundle_of(statement, OPENSSL_BUNDLE)
    shelf.attach(
        OPENSSL_IMAGE, BUNDLE, manifest_of(shelf, (bundle, BUNDLE, {})), **{PREDICATE: SIGN}
    )
    check(shelf, OPENSSL_IMAGE, key=load_public_key(OPENSSL_KEY, "key"))


def test_the_signed_encoding_is_dsses() -> None:
    # The example of the DSSE protocol's own text.
    encoding = encode_envelope("http://example.com/HelloWorld", b"hello world")
    assert encoding == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_bundle_by_another_key_is_refused() -> None:
    assert "is not by this key" in refused(bundled(signed_bundle(statement_of(IMAGE), OTHER)))


def test_a_bundle_signed_without_its_encoding_is_refused() -> None:
    statement = statement_of(IMAGE)
    assert "is not by this key" in refused(bundled(bundle_of(statement, signature_of(statement))))


def test_a_bundle_of_another_image_is_refused() -> None:
    assert "of another image" in refused(bundled(signed_bundle(statement_of(STRANGER))))
    assert "of another image" in refused(bundled(signed_bundle(statement_of())))


@pytest.mark.parametrize(
    "statement",
    [
        statement_of(IMAGE, predicate="https://slsa.dev/provenance/v1"),
        statement_of(IMAGE, kind="https://in-toto.io/Statement/v9"),
        b"[]",
        b"\xff",
    ],
)
def test_a_signed_statement_about_an_image_is_not_yet_its_signature(statement: bytes) -> None:
    found = refused(bundled(signed_bundle(statement)))
    assert "is by this key, but is no signature of an image" in found


def test_an_envelope_of_another_payload_type_is_refused() -> None:
    statement = statement_of(IMAGE)
    signature = signature_of(encode_envelope("text/plain", statement))
    shelf = bundled(bundle_of(statement, signature, "text/plain"))
    assert "holds no signed statement" in refused(shelf)


def test_a_bundle_holds_one_signature_no_more_and_no_less() -> None:
    good = json.loads(signed_bundle(statement_of(IMAGE)))
    (one,) = good["dsseEnvelope"]["signatures"]
    wrong: list[object] = [[], [one, one], "", None, {}]
    for signatures in wrong:
        envelope = good["dsseEnvelope"] | {"signatures": signatures}
        shelf = bundled(encoded(good | {"dsseEnvelope": envelope}))
        assert "without the one signed envelope" in refused(shelf)


# Absurd ones


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"layers":7}', b"[" * 100_000])
def test_a_signature_manifest_that_cannot_be_read_is_refused(data: bytes) -> None:
    shelf = Shelf(tags={signature_tag(IMAGE): data})
    assert "its signature has a manifest that cannot be read" in refused(shelf)


def test_an_index_under_the_signatures_tag_is_refused() -> None:
    shelf = Shelf(tags={signature_tag(IMAGE): encoded({"schemaVersion": 2, "manifests": []})})
    assert "its signature is an index, not a manifest" in refused(shelf)


def test_an_image_under_the_signatures_tag_is_no_signature() -> None:
    shelf = Shelf()
    layers = manifest_of(shelf, (b"tar", "application/vnd.oci.image.layer.v1.tar", {}))
    shelf.tags[signature_tag(IMAGE)] = layers
    assert "it is not signed" in refused(shelf)
    assert shelf.read == []


def test_a_broken_manifest_does_not_hide_a_good_signature() -> None:
    shelf = bundled(signed_bundle(statement_of(IMAGE)))
    shelf.tags[signature_tag(IMAGE)] = b"{"
    check(shelf)


def test_a_payload_above_one_mebibyte_is_not_read() -> None:
    payload = payload_of(IMAGE)
    for size, fits in ((1 << 20, True), ((1 << 20) + 1, False)):
        padded = payload + b" " * (size - len(payload))
        shelf = tagged(IMAGE, (padded, signature_of(padded)))
        if fits:
            check(shelf)
        else:
            assert "has a payload of more than 1 MiB" in refused(shelf)
            assert shelf.read == []


def test_a_hundred_signatures_are_looked_at_and_no_more() -> None:
    payload = payload_of(IMAGE)
    bad, good = (payload, signature_of(payload, OTHER)), (payload, signature_of(payload))
    check(tagged(IMAGE, *[bad] * 99, good))
    assert refused(tagged(IMAGE, *[bad] * 100, good)) == (
        "none of its 100 signatures is by this key, and no more than that are looked at: " + WAY_OUT
    )


def test_a_referrer_too_large_for_a_manifest_is_passed_over() -> None:
    shelf = bundled(signed_bundle(statement_of(IMAGE)))
    shelf.attach(IMAGE, BUNDLE, b" " * ((4 << 20) + 1))
    shelf.attached[IMAGE].reverse()
    check(shelf)


def test_thousands_of_referrers_are_not_read() -> None:
    shelf = Shelf()
    empty = manifest_of(shelf, (b"", "text/plain", {}))
    for number in range(1000):
        shelf.attach(IMAGE, BUNDLE, empty + b" " * number)
    assert "it is not signed" in refused(shelf)
    assert len(shelf.read) == 100


def test_what_the_source_raises_passes_through() -> None:
    def down(_: Digest) -> tuple[Descriptor, ...]:
        raise ImageProblem("registry.example does not answer")

    source = Source(
        top=lambda: Index(digest=IMAGE, manifests=()),
        document=lambda _: (),
        blob=lambda _: iter(()),
        tagged=lambda _: None,
        referrers=down,
    )
    with pytest.raises(ImageProblem, match=r"registry\.example does not answer"):
        check_signature(source, [IMAGE], KEY.public_key())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.binary() | JSON.map(encoded))
@example(b"9" * 5000)
@example(b'{"layers":[],"config":null}')
def test_arbitrary_signature_manifests_raise_only_image_problems(data: bytes) -> None:
    assert refused(Shelf(tags={signature_tag(IMAGE): data}))


@given(st.binary() | JSON.map(encoded), st.text() | st.binary().map(lambda b: b.hex()))
@example(b"", "AA==")
def test_arbitrary_payloads_and_signatures_are_refused(payload: bytes, signature: str) -> None:
    assert refused(tagged(IMAGE, (payload, signature)))


@given(st.binary() | JSON.map(encoded))
@example(b'{"critical":{"image":[],"type":"cosign container image signature"}}')
@example(b'{"critical":7}')
@example(b"[" * 100_000)
def test_arbitrary_payloads_well_signed_are_refused(payload: bytes) -> None:
    assert refused(tagged(IMAGE, (payload, signature_of(payload))))
    assert refused(bundled(signed_bundle(payload)))


@given(JSON, st.sampled_from(["payload", "payloadType", "signatures", "sig"]))
@example([{}], "signatures")
@example([None], "signatures")
def test_arbitrary_bundles_are_refused(value: object, where: str) -> None:
    bundle = json.loads(signed_bundle(statement_of(IMAGE)))
    envelope = bundle["dsseEnvelope"]
    if where == "sig":
        envelope["signatures"][0]["sig"] = value
    else:
        envelope[where] = value
    assert refused(bundled(encoded(bundle)))


@given(st.binary())
def test_arbitrary_bytes_as_a_signature_are_not_by_this_key(raw: bytes) -> None:
    signature = base64.b64encode(raw).decode()
    with contextlib.suppress(ImageProblem):
        check(tagged(IMAGE, (payload_of(IMAGE), signature)))
        pytest.fail("random bytes were accepted as a signature")
