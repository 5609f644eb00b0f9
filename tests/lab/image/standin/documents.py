"""Cloud-configs: read, merge and collect them as Kairos does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
Fetch = Callable[[str], str | None]

HEADERS = frozenset({"#cloud-config", "#kairos-config", "#node-config"})
HEADER_LINES = 10
MAX_FILE = 1 << 20
# Kairos follows a chain of config_url without end; a test had better end.
MAX_CHAIN = 8

LIVE_DIRS = ("/run/initramfs/live", "/etc/kairos", "/usr/local/cloud-config", "/oem")
INSTALLED_DIRS = ("/system/oem", "/etc/kairos", "/usr/local/cloud-config", "/oem")


class ConfigError(Exception):
    """A configuration that no installation can start from."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2 scalars like Go's: no base-60 numbers (MACs!), `yes` and `no` are words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in pairs if not tag.endswith((":bool", ":int"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0x[0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$"),
    list("-+0123456789"),
)


def merge(base: Any, over: Any) -> Any:
    """Maps deep, lists of scalars united, other lists joined, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        both = {key: merge(base[key], over[key]) for key in base.keys() & over.keys()}
        return {**base, **over, **both}
    if isinstance(base, list) and isinstance(over, list):
        scalars = not any(isinstance(item, dict | list) for item in base + over)
        return list(dict.fromkeys(base + over)) if scalars else base + over
    return over


def has_header(text: str) -> bool:
    """Whether one of the first ten lines says that this is a cloud-config."""
    return any(line.rstrip() in HEADERS for line in text.splitlines()[:HEADER_LINES])


def parse(text: str) -> Document:
    """The document in a text; text without a header is an empty one."""
    if not has_header(text):
        return {}
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}") from error
    return value if isinstance(value, dict) else {}


def dump(document: Document) -> str:
    """A document as text, with its header."""
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10000)
    return f"#cloud-config\n{body}"


def read_directories(directories: Iterable[str], root: Path = Path("/")) -> list[Document]:
    """All documents in some directories, in the order in which they are merged."""
    folders = [root / directory.lstrip("/") for directory in directories]
    files = [path for folder in folders for path in sorted(folder.glob("*"))]
    readable = [path for path in files if path.suffix in (".yml", ".yaml") and path.is_file()]
    small = [path for path in readable if path.stat().st_size <= MAX_FILE]
    return [parse(path.read_text(errors="replace")) for path in small]


def collect(sources: Iterable[Document], fetch: Fetch) -> Document:
    """Merge the sources in order; what a config_url names is merged over the source naming it."""
    merged: Document = {}
    for source in sources:
        merged = merge(merged, _with_remote(source, fetch, MAX_CHAIN))
    return merged


def _with_remote(document: Document, fetch: Fetch, depth: int) -> Document:
    url = document.get("config_url")
    if not url:
        return document
    if depth == 0:
        raise ConfigError(f"config_url leads on and on: {url}")
    # Like Kairos: whatever goes wrong with the fetch, it was an empty document.
    remote = parse(fetch(str(url)) or "")
    merged: Document = merge(document, _with_remote(remote, fetch, depth - 1))
    return merged


def has_admin(document: Document) -> bool:
    """Whether some user, on top or in any stage, is in group `admin`, or nobody need be."""
    if (document.get("install") or {}).get("nousers") is True:
        return True
    stages = (document.get("stages") or {}).values()
    places = [document, *(entry for entries in stages if entries for entry in entries)]
    return any("admin" in groups for place in places for groups in _groups(place))


def _groups(place: Any) -> list[list[str]]:
    users = place.get("users") if isinstance(place, dict) else None
    named = users.values() if isinstance(users, dict) else users or []
    return [user.get("groups") or [] for user in named if isinstance(user, dict)]
