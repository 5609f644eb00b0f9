from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.errors import InvalidValue
from kairos_netboot.images.keys import load_private_key, load_public_key

KEY = ec.generate_private_key(ec.SECP256R1())
PLAIN = NoEncryption()
LOCKED = BestAvailableEncryption(b"secret")
# What `openssl ecparam -genkey` without -noout writes before the key.
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def public_pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    lock: KeySerializationEncryption = PLAIN,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, lock)


def refused_public(pem: str) -> str:
    with pytest.raises(InvalidValue) as caught:
        load_public_key(pem, "/etc/cosign.pub")
    return str(caught.value)


def refused_private(pem: bytes, password: bytes | None = None) -> str:
    with pytest.raises(InvalidValue) as caught:
        load_private_key(pem, "sign.key", password)
    return str(caught.value)


def test_a_p256_public_key_is_read() -> None:
    assert load_public_key(public_pem(KEY), "key") == KEY.public_key()


def test_a_private_key_in_place_of_a_public_one_is_told_how_to_become_one() -> None:
    assert refused_public(private_pem(KEY).decode()) == (
        "/etc/cosign.pub is a private key: keep it secret, and give its public half, which"
        " `openssl ec -in KEY -pubout` or `cosign public-key --key KEY` prints"
    )


def test_a_certificate_is_told_how_to_become_a_public_key() -> None:
    said = refused_public("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "is a certificate" in said
    assert "openssl x509" in said


@pytest.mark.parametrize("text", ["", "cosign.pub", "-----BEGIN PUBLIC KEY-----\nAAAA", "\ud800"])
def test_what_is_no_key_is_refused_by_its_name(text: str) -> None:
    assert refused_public(text) == (
        "/etc/cosign.pub is no public key: give a PEM file like cosign.pub, which begins with"
        " -----BEGIN PUBLIC KEY-----"
    )


def test_keys_of_other_kinds_are_named() -> None:
    weak = rsa.generate_private_key(65537, 2048)
    assert "is an RSA key: give an ECDSA P-256 key" in refused_public(public_pem(weak))
    other = ec.generate_private_key(ec.SECP384R1())
    assert "an ECDSA key on the curve secp384r1" in refused_public(public_pem(other))
    edwards = ed25519.Ed25519PrivateKey.generate()
    assert "is a key of another kind" in refused_public(public_pem(edwards))
    assert "is an RSA key" in refused_private(private_pem(weak))
    assert "secp384r1" in refused_private(private_pem(other))
    assert "is a key of another kind" in refused_private(private_pem(edwards))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_private_keys_are_read_with_and_without_a_password(form: PrivateFormat) -> None:
    plain, locked = private_pem(KEY, form), private_pem(KEY, form, LOCKED)
    for found in (
        load_private_key(plain, "key"),
        load_private_key(plain, "key", b"of no use"),
        load_private_key(locked, "key", b"secret"),
    ):
        assert found.private_numbers() == KEY.private_numbers()


def test_the_parameters_that_openssl_writes_before_a_key_are_passed_over() -> None:
    pem = EC_PARAMETERS + private_pem(KEY, PrivateFormat.TraditionalOpenSSL)
    assert load_private_key(pem, "key").private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_needs_its_password(form: PrivateFormat) -> None:
    locked = private_pem(KEY, form, LOCKED)
    assert "sign.key is encrypted: give its password" in refused_private(locked)
    for wrong in (b"wrong", b""):
        said = refused_private(locked, wrong)
        assert said.endswith("check its password in KAIROS_NETBOOT_KEY_PASSWORD")


@pytest.mark.parametrize("owner", ["SIGSTORE", "COSIGN"])
def test_cosigns_own_encryption_is_refused_with_the_way_to_a_key_for_both(owner: str) -> None:
    label = f"ENCRYPTED {owner} PRIVATE KEY-----"
    assert refused_private(f"-----BEGIN {label}\nAAAA\n-----END {label}\n".encode(), b"x") == (
        "sign.key is a key in cosign's own encryption, which only cosign reads: make one with"
        " `openssl ecparam -name prime256v1 -genkey -noout -out KEY`, and"
        " `cosign import-key-pair --key KEY` lets cosign sign with it too"
    )


def test_a_public_key_does_not_sign() -> None:
    said = refused_private(public_pem(KEY).encode())
    assert said == "sign.key is a public key: signing takes the private one"


@given(st.binary(), st.none() | st.binary())
@example(b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", None)
@example(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", b"")
def test_arbitrary_keys_raise_only_invalid_value(pem: bytes, password: bytes | None) -> None:
    with contextlib.suppress(InvalidValue):
        load_private_key(pem, "key", password)
    with contextlib.suppress(InvalidValue):
        load_public_key(pem.decode("latin-1"), "key")
