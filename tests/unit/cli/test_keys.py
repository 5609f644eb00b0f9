"""Keys in files, and what is said of files that hold none."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
    PublicFormat,
)

from kairos_netboot.cli.keys import read_private_key, read_public_key
from kairos_netboot.errors import InvalidValue
from kairos_netboot.values import Digest

KEY = ec.derive_private_key(7, ec.SECP256R1())
DIGEST = Digest.of(b"x")


def write_private(path: Path, encryption: KeySerializationEncryption) -> Path:
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path


def test_a_password_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_private(tmp_path / "key.pem", BestAvailableEncryption(b"secret"))
    monkeypatch.delenv("KAIROS_NETBOOT_KEY_PASSWORD", raising=False)
    with pytest.raises(InvalidValue, match="KAIROS_NETBOOT_KEY_PASSWORD"):
        read_private_key(path)
    monkeypatch.setenv("KAIROS_NETBOOT_KEY_PASSWORD", "wrong")
    with pytest.raises(InvalidValue, match="KAIROS_NETBOOT_KEY_PASSWORD"):
        read_private_key(path)
    monkeypatch.setenv("KAIROS_NETBOOT_KEY_PASSWORD", "secret")
    assert read_private_key(path).private_numbers() == KEY.private_numbers()


def test_a_public_key_is_its_text(tmp_path: Path) -> None:
    spki = PublicFormat.SubjectPublicKeyInfo
    pem = KEY.public_key().public_bytes(Encoding.PEM, spki)
    (tmp_path / "key.pub").write_bytes(pem)
    assert read_public_key(tmp_path / "key.pub") == pem.decode()


@pytest.mark.parametrize("data", [b"", b"no key", bytes(range(256))])
def test_a_file_without_a_key_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    for read in (read_public_key, read_private_key):
        with pytest.raises(InvalidValue, match=f"{path} "):
            read(path)


@pytest.mark.parametrize(("name", "why"), [("nothing", "No such file"), (".", "directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, why: str) -> None:
    for read in (read_public_key, read_private_key):
        with pytest.raises(InvalidValue, match=f"{tmp_path / name}: cannot be read: .*{why}"):
            read(tmp_path / name)
