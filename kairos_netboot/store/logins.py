"""Credentials of power controllers, sealed at rest: a copy of the database alone tells nothing.

AES-256-GCM with the key in STATE/secret.key; the login's name is authenticated with it, so that a
row cannot be given another's name. cryptography is imported where it is used: that takes 50 ms.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from ..boot.power import check_login_name
from ..errors import StoreProblem, UnknownName
from .ownership import give_to_owner
from .schema import logins
from .store import Store

KEY_FILE = "secret.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12  # what GCM is made for (NIST SP 800-38D, 8.2)
_ABOUT = "kairos-netboot login "  # before the name: nothing else sealed with the key is a login


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    user: str
    password: str = field(repr=False)


def put_login(store: Store, name: str, login: Login) -> bool:
    """Keep it, over another of its name; whether there was none before. Raises InvalidValue."""
    check_login_name(name)
    sealed = seal(_made_key(store.directory), name, login)
    with store.writing() as connection:
        known = connection.execute(select(logins.c.name).where(logins.c.name == name)).first()
        row = insert(logins).values(name=name, sealed=sealed)
        connection.execute(
            row.on_conflict_do_update(index_elements=["name"], set_={"sealed": sealed})
        )
    return known is None


def read_login(store: Store, name: str) -> Login:
    """Raises UnknownName, or StoreProblem where its key is lost."""
    with store.reading() as connection:
        found = connection.execute(select(logins.c.sealed).where(logins.c.name == name))
        sealed = found.scalar_one_or_none()
    if sealed is None:
        raise UnknownName(f"no login '{name}': `kairos-netboot power login {name} --user USER`")
    return unseal(_known_key(store.directory, name), name, sealed)


def login_names(store: Store) -> Sequence[str]:
    with store.reading() as connection:
        return connection.execute(select(logins.c.name).order_by(logins.c.name)).scalars().all()


def drop_login(store: Store, name: str) -> None:
    """Raises UnknownName."""
    with store.writing() as connection:
        gone = connection.execute(delete(logins).where(logins.c.name == name))
    if not gone.rowcount:
        raise UnknownName(f"no login '{name}': `kairos-netboot power logins` lists them")


def seal(
    key: bytes, name: str, login: Login, random: Callable[[int], bytes] = secrets.token_bytes
) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = random(_NONCE_BYTES)
    plain = json.dumps([login.user, login.password]).encode()
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, _about(name))).decode()


def unseal(key: bytes, name: str, sealed: str) -> Login:
    """Raises StoreProblem where it was sealed with another key, for another name, or is damaged."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        raw = base64.b64decode(sealed, validate=True)
        plain = AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _about(name))
    except (InvalidTag, ValueError):
        raise StoreProblem(
            f"login '{name}' was sealed with another key than the one in {KEY_FILE}: put the"
            f" former file back, or give it anew with {_anew(name)}"
        ) from None
    user, password = json.loads(plain)
    return Login(user=user, password=password)


def _about(name: str) -> bytes:
    return (_ABOUT + name).encode()


def _anew(name: str) -> str:
    return f"`kairos-netboot power login {name} --user USER`"


def _known_key(directory: Path, name: str) -> bytes:
    path = directory / KEY_FILE
    if not path.exists():
        raise StoreProblem(
            f"{path} is gone, and login '{name}' cannot be read without it: put it back from a"
            f" copy, or give the login anew with {_anew(name)}"
        )
    return _read_key(path)


def _made_key(directory: Path) -> bytes:
    """The key; made where there is none. Of two that make one at a time, the first one's stays."""
    path = directory / KEY_FILE
    if not path.exists():
        with _told(path), _written(path, secrets.token_bytes(_KEY_BYTES)) as new:
            try:
                os.link(new, path)
            except FileExistsError:
                pass
            else:
                _sync(directory)
    return _read_key(path)


@contextmanager
def _written(path: Path, key: bytes) -> Iterator[Path]:
    """A file beside `path` for a moment: whole, on the disk, nobody else's to read."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        give_to_owner(Path(name), path.parent)
        yield Path(name)
    finally:
        os.unlink(name)


def _sync(directory: Path) -> None:
    """The new name is on the disk too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_key(path: Path) -> bytes:
    with _told(path):
        if path.stat().st_mode & 0o077:
            raise StoreProblem(f"{path} can be read by others: `chmod 600 {path}`")
        text = path.read_bytes()
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise StoreProblem(
            f"{path} is damaged: put it back from a copy, or remove it and give each login anew"
        )
    return key


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreProblem(f"{path}: {error.strerror}: is the state directory yours?") from error
