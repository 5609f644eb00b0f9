"""Keys in files: public ones to check signatures with, private ones to sign."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InvalidValue
from ..images.keys import PASSWORD, PrivateKey, load_private_key, load_public_key


def read_public_key(path: Path) -> str:
    """The PEM text of a key that signatures can be checked with; raises InvalidValue."""
    text = _read(path).decode("utf-8", "replace")
    load_public_key(text, str(path))
    return text


def read_private_key(path: Path) -> PrivateKey:
    """Its password, where it has one, is in the environment."""
    password = os.environ.get(PASSWORD)
    return load_private_key(_read(path), str(path), password.encode() if password else None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidValue(f"{path}: cannot be read: {error.strerror}") from None
