"""Keys in files: public ones to check signatures with, private ones to sign."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import InvalidValue
from ..images.signature import PrivateKey, Sealed, load_private_key, load_public_key, sign
from ..values import Digest

_PASSWORD = "KAIROS_NETBOOT_KEY_PASSWORD"


def read_public_key(path: Path) -> str:
    """The PEM text of a key that signatures can be checked with; raises InvalidValue."""
    text = _read(path).decode("utf-8", "replace")
    load_public_key(text, str(path))
    return text


def read_private_key(path: Path) -> PrivateKey:
    """Its password, where it has one, is in the environment."""
    password = os.environ.get(_PASSWORD)
    try:
        return load_private_key(_read(path), str(path), password.encode() if password else None)
    except InvalidValue as problem:
        if "password" in str(problem).removeprefix(str(path)):
            raise InvalidValue(f"{problem} (the password is taken from {_PASSWORD})") from None
        raise


def signer(path: Path, name: str) -> Callable[[Digest], Sealed]:
    """What signs the manifest of a digest as `name`."""
    key = read_private_key(path)
    return lambda digest: sign(name, digest, key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidValue(f"{path}: cannot be read: {error.strerror}") from None
