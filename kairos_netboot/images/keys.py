"""Keys that sign and check images: ECDSA P-256, in PEM files of openssl and cosign.

cryptography is imported where it is used: that takes 50 ms, and most commands sign nothing.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeAlias

from ..errors import InvalidValue

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

PublicKey: TypeAlias = "EllipticCurvePublicKey"
PrivateKey: TypeAlias = "EllipticCurvePrivateKey"

PASSWORD = "KAIROS_NETBOOT_KEY_PASSWORD"
_MAKE_KEY = "`openssl ecparam -name prime256v1 -genkey -noout -out KEY`"


def load_public_key(pem: str, what: str) -> PublicKey:
    """An ECDSA P-256 key from its PEM text; or InvalidValue that names `what`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if "PRIVATE KEY-----" in pem:
        raise InvalidValue(
            f"{what} is a private key: keep it secret, and give its public half, which"
            " `openssl ec -in KEY -pubout` or `cosign public-key --key KEY` prints"
        )
    if "BEGIN CERTIFICATE-----" in pem:
        raise InvalidValue(
            f"{what} is a certificate: give its public key, which"
            " `openssl x509 -in CERT -noout -pubkey` prints"
        )
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidValue(
            f"{what} is no public key: give a PEM file like cosign.pub, which begins with"
            " -----BEGIN PUBLIC KEY-----"
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidValue(
            f"{what} is {_key_kind(key)}: give an ECDSA P-256 key, such as"
            " `cosign generate-key-pair` makes"
        )
    return key


def _key_kind(key: object) -> str:
    """What a key is that is not P-256, in words."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return f"an ECDSA key on the curve {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return "an RSA key"
    return "a key of another kind"


def load_private_key(pem: bytes, what: str, password: bytes | None = None) -> PrivateKey:
    """An ECDSA P-256 key from its PEM (PKCS 8 or SEC 1); or InvalidValue that names `what`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    _refuse_other_pem(pem, what)
    encrypted = b"ENCRYPTED" in pem  # PKCS 8's label, and `Proc-Type: 4,ENCRYPTED` of SEC 1
    if encrypted and password is None:
        raise InvalidValue(
            f"{what} is encrypted: give its password in {PASSWORD}, or take it off with"
            " `openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW`"
        )
    try:
        key = load_pem_private_key(pem, password if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        way_out = f"check its password in {PASSWORD}" if encrypted else f"make one with {_MAKE_KEY}"
        raise InvalidValue(f"{what} cannot be read as a private key: {way_out}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidValue(
            f"{what} is {_key_kind(key)}: give an ECDSA P-256 key, made with {_MAKE_KEY}"
        )
    return key


def _refuse_other_pem(pem: bytes, what: str) -> None:
    # cosign encrypts with scrypt and NaCl's secretbox, which no other tool reads; and it has
    # no command that takes the key out again.
    if b"SIGSTORE PRIVATE KEY-----" in pem or b"COSIGN PRIVATE KEY-----" in pem:
        raise InvalidValue(
            f"{what} is a key in cosign's own encryption, which only cosign reads: make one with"
            f" {_MAKE_KEY}, and `cosign import-key-pair --key KEY` lets cosign sign with it too"
        )
    if b"PRIVATE KEY-----" not in pem and b"PUBLIC KEY-----" in pem:
        raise InvalidValue(f"{what} is a public key: signing takes the private one")


def check_authority(pem: str, what: str) -> None:
    """Raise InvalidValue unless these are certificates that others can be checked with."""
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise InvalidValue(f"{what} holds no certificate: write a PEM file") from None
