"""Logins for registries, from the file that `docker login` writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ImageProblem

# `docker login` files Docker's own registry under the address of its first API.
_DOCKER_KEYS = ("docker.io", "index.docker.io", "registry-1.docker.io")


def config_path(environ: Mapping[str, str]) -> Path:
    """`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`."""
    folder = environ.get("DOCKER_CONFIG")
    home = Path(environ.get("HOME", "/"))
    return (Path(folder) if folder else home / ".docker") / "config.json"


def read_credentials(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The logins by host name and the helpers' names; empty without a file."""
    path = config_path(environ)
    try:
        document = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        document = {}
    except (OSError, ValueError) as error:
        raise ImageProblem(f"{path} cannot be read: {error}: mend or remove it") from None
    if not isinstance(document, dict):
        raise ImageProblem(f"{path} is not a JSON object: mend or remove it")
    return {
        "auths": _auths(_mapping(document, "auths")),
        "credHelpers": _hosts(_mapping(document, "credHelpers")),
        "credsStore": document.get("credsStore"),
    }


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _auths(auths: Mapping[str, Any]) -> dict[str, Any]:
    return {
        host: {"auth": login}
        for host, entry in _hosts(auths).items()
        if isinstance(entry, dict) and (login := _login(entry))
    }


def _login(entry: Mapping[str, Any]) -> str:
    if entry.get("auth"):
        return str(entry["auth"])
    if entry.get("username") and entry.get("password"):
        plain = f"{entry['username']}:{entry['password']}"
        return base64.b64encode(plain.encode()).decode()
    return ""


def _hosts(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as host names: `https://index.docker.io/v1/` is a key in many files."""
    found = {key.split("://")[-1].split("/")[0]: value for key, value in entries.items()}
    for key in _DOCKER_KEYS:
        if key in found:
            return found | dict.fromkeys(_DOCKER_KEYS, found[key])
    return found
