"""References to images, parsed once: registry names, OCI archives, OCI directories."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..errors import InvalidValue
from ..values import Digest

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"

# The grammar of the OCI distribution specification, with its limits.
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveReference:
    """`oci-archive:FILE[:TAG]`: an OCI layout in one plain tar."""

    path: Path
    tag: str = ""

    def __str__(self) -> str:
        return _joined("oci-archive", self.path, self.tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutReference:
    """`oci:DIR[:TAG]`: an OCI layout in a directory."""

    path: Path
    tag: str = ""

    def __str__(self) -> str:
        return _joined("oci", self.path, self.tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReference:
    """`[HOST[:PORT]/]NAME[:TAG][@DIGEST]`. The digest wins where both are given."""

    host: str
    name: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


Reference: TypeAlias = ArchiveReference | LayoutReference | RegistryReference


def parse(text: str) -> Reference:
    """Read a reference as a person writes it, or raise InvalidValue."""
    text = text.strip()
    scheme, separator, rest = text.partition(":")
    if separator and scheme == "oci-archive":
        path, tag = _split_path(text, rest)
        return ArchiveReference(path=path, tag=tag)
    if separator and scheme == "oci":
        path, tag = _split_path(text, rest)
        return LayoutReference(path=path, tag=tag)
    return _parse_registry(text, text.removeprefix("docker://"))


def default_name(reference: Reference) -> str:
    """What an image is called if nobody says: the last word of where it comes from."""
    if isinstance(reference, RegistryReference):
        stem = reference.name.rpartition("/")[2]
    else:
        stem = re.sub(r"(\.(tar|oci|oci-archive|ociarchive))+$", "", reference.path.absolute().name)
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "image"


def _joined(scheme: str, path: Path, tag: str) -> str:
    return f"{scheme}:{path}" + (f":{tag}" if tag else "")


def _split_path(text: str, rest: str) -> tuple[Path, str]:
    path, _, tag = rest.partition(":")  # as skopeo splits: no path with a colon in it
    if not path or "\0" in path:
        raise InvalidValue(f"'{text}' names no file: write oci-archive:FILE or oci:DIR[:TAG]")
    if tag and not _TAG.fullmatch(tag):
        raise InvalidValue(f"'{tag}' in '{text}' is no tag: paths with a colon cannot be used")
    return Path(path), tag


def _parse_registry(text: str, body: str) -> RegistryReference:
    body, at, digest = body.partition("@")
    head, slash, last = body.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidValue(f"'{tag}' in '{text}' is no tag: write HOST/NAME:TAG")
    host, name = _split_host(text, head + slash + last)
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise InvalidValue(f"'{text}' is no image: write HOST/NAME:TAG, the name in lower case")
    return RegistryReference(
        host=host,
        name=name,
        tag=tag or ("" if at else DEFAULT_TAG),
        digest=Digest(digest) if at else None,
    )


def _split_host(text: str, path: str) -> tuple[str, str]:
    # The rule of all container tools: a first word is a host if it has a dot or a port, or is
    # 'localhost'; otherwise it is a name on Docker's registry, whose own images are in library/.
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if not _HOST.fullmatch(first):
            raise InvalidValue(f"'{first}' in '{text}' is no registry: write HOST[:PORT]/NAME")
        host = DEFAULT_REGISTRY if first == "index.docker.io" else first
        return host, rest if host != DEFAULT_REGISTRY or "/" in rest else f"library/{rest}"
    return DEFAULT_REGISTRY, path if slash else f"library/{path}"
