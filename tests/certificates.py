"""A key and a certificate authority for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, _KEY.public_key(), 1, day, day.replace(year=2050))
    return builder.sign(_KEY, SHA256()).public_bytes(Encoding.PEM).decode()


def public_key() -> str:
    form = PublicFormat.SubjectPublicKeyInfo
    return _KEY.public_key().public_bytes(Encoding.PEM, form).decode()
