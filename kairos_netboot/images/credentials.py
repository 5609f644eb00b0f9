"""Logins for registries, from the file that `docker login` writes and from its helpers."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ImageProblem
from ..values import printable
from .progress import Tell
from .reference import DEFAULT_REGISTRY

# `docker login` files Docker's own registry under the address of its first API.
_DOCKER_URL = "https://index.docker.io/v1/"
_DOCKER_KEYS = ("index.docker.io", "registry-1.docker.io")
# A key with another path is a login for that part of a registry only, as Podman files them.
_KEY = re.compile(r"(?:https?://)?([^/]+)(?:/v[12])?/?")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_IDENTITY = "<token>"  # the user by which helpers say that the secret is an identity token
_HELPER_SECONDS = 30  # some ask a person or a cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user with a password; or, without a user, an identity token."""

    user: str = ""
    secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """What follows `Basic`; empty for an identity token."""
        if not self.user:
            return ""
        return base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """What the file says, by host name."""

    path: Path
    auths: Mapping[str, Login]
    helpers: Mapping[str, str]
    store: str = ""


def config_path(environ: Mapping[str, str]) -> Path:
    """`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`."""
    folder = environ.get("DOCKER_CONFIG")
    home = Path(environ.get("HOME", "/"))
    return (Path(folder) if folder else home / ".docker") / "config.json"


def read_logins(environ: Mapping[str, str]) -> Logins:
    """Empty without a file; raises ImageProblem for one that is broken."""
    path = config_path(environ)
    try:
        document = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        document = {}
    except (OSError, ValueError, RecursionError) as error:
        raise ImageProblem(f"{path} cannot be read: {error}: mend or remove it") from None
    if not isinstance(document, dict):
        raise ImageProblem(f"{path} is not a JSON object: mend or remove it")
    auths = _hosts(document.get("auths"))
    found = {host: _login(path, host, entry) for host, entry in auths.items()}
    return Logins(
        path=path,
        auths={host: login for host, login in found.items() if login is not None},
        helpers={k: str(v) for k, v in _hosts(document.get("credHelpers")).items() if v},
        store=str(document.get("credsStore") or ""),
    )


def login_for(host: str, logins: Logins, environ: Mapping[str, str], tell: Tell) -> Login | None:
    """This host's login: of its own helper, of the helper for all, or in the file itself."""
    if host in logins.helpers:
        found = _ask(logins.helpers[host], host, logins.path, environ)
        return found or logins.auths.get(host)
    if logins.store:
        try:
            found = _ask(logins.store, host, logins.path, environ)
        except ImageProblem as problem:
            # Copied from a desktop, the file names a helper that a server does not have.
            tell(f"{problem}; going on without it")
            found = None
        return found or logins.auths.get(host)
    return logins.auths.get(host)


def _ask(helper: str, host: str, path: Path, environ: Mapping[str, str]) -> Login | None:
    """Run the helper; None where it has no login for the host."""
    name = f"docker-credential-{helper}"
    program = shutil.which(name, path=environ.get("PATH")) if _HELPER.fullmatch(helper) else None
    if program is None:
        raise ImageProblem(f"{path} names the helper {name}, which is not installed")
    server = _DOCKER_URL if host == DEFAULT_REGISTRY else host
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            env=dict(environ),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageProblem(f"the helper {name} fails for {host}: {error}") from None
    if done.returncode:
        return _refused(name, host, (done.stdout or done.stderr).decode(errors="replace"))
    return _answered(name, host, done.stdout)


def _refused(name: str, host: str, said: str) -> Login | None:
    # The one sentence by which all helpers say that they have none.
    if "credentials not found" in said:
        return None
    raise ImageProblem(f"the helper {name} fails for {host}: {printable(said)}")


def _answered(name: str, host: str, said: bytes) -> Login | None:
    try:
        document = json.loads(said)
        user, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ImageProblem(f"the helper {name} answers nonsense for {host}") from None
    return _made("" if user == _IDENTITY else user, secret)


def _made(user: str, secret: str) -> Login | None:
    return Login(user=user, secret=secret) if secret else None


def _login(path: Path, host: str, entry: object) -> Login | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return Login(secret=str(entry["identitytoken"]))
    if not entry.get("auth"):
        user = str(entry.get("username") or "")
        return _made(user, str(entry.get("password") or "")) if user else None
    try:
        user, colon, secret = base64.b64decode(str(entry["auth"])).decode().partition(":")
    except ValueError:
        user, colon, secret = "", "", ""
    if not colon or not user:
        raise ImageProblem(f"{path} has no login that can be read for {host}: log in again")
    return _made(user, secret.rstrip("\0"))


def _hosts(entries: object) -> dict[str, Any]:
    """Keys as host names: `https://index.docker.io/v1/` is a key in many files."""
    items = entries.items() if isinstance(entries, dict) else ()
    keys = {found[1]: value for key, value in items if (found := _KEY.fullmatch(key))}
    for key in _DOCKER_KEYS:
        if key in keys:
            keys.setdefault(DEFAULT_REGISTRY, keys[key])
    return keys
