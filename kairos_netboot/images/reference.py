"""References to images, parsed once: registries, OCI and Docker archives, folders, ISOs, files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from ..errors import InvalidValue
from ..values import Digest, printable

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_ALIASES = ("index.docker.io", "registry-1.docker.io", DEFAULT_REGISTRY)

# The grammar of the OCI distribution specification, with its limits.
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
)
_MAX_NAME = 255
_SEPARATORS = {".": ".", "_": "_"}
_URL = re.compile(r"https?://[^\s/]+/\S+")


class Scheme(StrEnum):
    LAYOUT = "oci"  # an OCI layout in a directory
    ARCHIVE = "oci-archive"  # the same in one plain tar
    DOCKER_ARCHIVE = "docker-archive"  # what `docker save` writes
    DIRECTORY = "dir"  # a root file system
    ISO = "iso"  # a Kairos ISO
    UKI = "uki"  # an ISO or EFI program that firmware starts as it is
    FILES = "files"  # boot files as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReference:
    """`oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]` or `dir:ROOTFS`."""

    scheme: Scheme
    path: Path
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}:{self.path}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """`iso:X` or `uki:X`, a path or a URL."""

    scheme: Scheme
    place: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesReference:
    """`files:kernel=X,initrd=X[,rootfs=X]`, each a path or a URL."""

    kernel: str
    initrd: str
    rootfs: str = ""  # empty: the initrd is the whole system

    def __str__(self) -> str:
        rootfs = f",rootfs={self.rootfs}" if self.rootfs else ""
        return f"{Scheme.FILES}:kernel={self.kernel},initrd={self.initrd}{rootfs}"

    @property
    def places(self) -> list[str]:
        return [place for place in (self.kernel, self.initrd, self.rootfs) if place]


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


Reference: TypeAlias = LocalReference | FileReference | FilesReference | RegistryReference


def parse(text: str) -> Reference:
    """Read a reference as a person writes it, or raise InvalidValue."""
    text = text.strip()
    scheme, separator, rest = text.partition(":")
    if not separator or scheme not in set(Scheme):
        return _parse_registry(text, text.removeprefix("docker://"))
    match Scheme(scheme):
        case Scheme.ISO | Scheme.UKI as kind:
            return FileReference(scheme=kind, place=_place(text, rest))
        case Scheme.FILES:
            return _parse_files(text, rest)
        case Scheme.DIRECTORY:
            return LocalReference(scheme=Scheme.DIRECTORY, path=_path(text, rest))
        case Scheme.DOCKER_ARCHIVE:
            path, _, tag = rest.partition(":")
            return LocalReference(
                scheme=Scheme.DOCKER_ARCHIVE, path=_path(text, path), tag=_docker_tag(text, tag)
            )
        case local:
            path, _, tag = rest.partition(":")  # as skopeo splits: no path with a colon in it
            if tag and not _TAG.fullmatch(tag):
                raise InvalidValue(
                    f"'{tag}' in '{text}' is no tag: paths with a colon cannot be used"
                )
            return LocalReference(scheme=local, path=_path(text, path), tag=tag)


def default_name(reference: Reference) -> str:
    """What an image is called if nobody says: the last word of where it comes from."""
    match reference:
        case RegistryReference():
            stem = reference.name
        case LocalReference():
            stem = str(reference.path.absolute())
        case FileReference():
            stem = reference.place
        case FilesReference():
            stem = reference.rootfs or reference.kernel
    stem = stem.partition("?")[0].rstrip("/").rpartition("/")[2]
    stem = re.sub(r"(\.(tar|oci|oci-archive|ociarchive|docker|iso|efi|squashfs))+$", "", stem)
    separated = re.sub(r"[^a-z0-9]+", lambda run: _SEPARATORS.get(run[0], "-"), stem.lower())
    return separated.strip("-._")[:_MAX_NAME] or "image"


def anchored(reference: Reference, folder: Path) -> Reference:
    """The reference with its paths counted from `folder`."""

    def anchor(place: str) -> str:
        return place if is_url(place) else str((folder / place).absolute())

    match reference:
        case LocalReference():
            return replace(reference, path=Path(anchor(str(reference.path))))
        case FileReference():
            return replace(reference, place=anchor(reference.place))
        case FilesReference():
            return _map_files(reference, anchor)
    return reference


def registry_host(host: str) -> str:
    """A registry's one name; raises InvalidValue."""
    if not _is_host(host):
        raise InvalidValue(f"'{host}' is no registry: write HOST or HOST:PORT")
    return registry_name(host)


def check_mirror(mirror: str) -> str:
    """Raises InvalidValue for what cannot be one."""
    first, _, prefix = re.sub(r"^https?://", "", mirror).partition("/")
    if not _is_host(first) or (prefix and not _NAME.fullmatch(prefix)):
        raise InvalidValue(f"'{mirror}' is no mirror: write [http://]HOST[:PORT][/PREFIX]")
    return mirror


def registry_name(host: str) -> str:
    """The one name of a registry that has several."""
    return DEFAULT_REGISTRY if host.lower() in _ALIASES else host.lower()


def is_name(text: str) -> bool:
    """Whether a repository, or an image here, can have this name."""
    return len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def check_name(name: str) -> str:
    """An image's name, fit for a registry's path; raises InvalidValue."""
    if not is_name(name):
        raise InvalidValue(
            f"{printable(repr(name), 80)} is no name for an image: small letters and digits, with"
            " . _ - or / between them"
        )
    return name


def shown(text: str) -> str:
    """A reference as people may see it: without the logins and queries of its addresses."""
    text = re.sub(r"(https?://)[^/@\s,]*@", r"\1***@", text)
    return printable(re.sub(r"(https?://[^?,\s]*)\?[^,\s]*", r"\1?***", text), 400)


def hosts_of(reference: Reference) -> set[str]:
    """Those that it is fetched from, with their ports."""
    match reference:
        case RegistryReference():
            return {reference.host}
        case LocalReference():
            return set()
        case FileReference():
            places = [reference.place]
        case FilesReference():
            places = reference.places
    return {urlsplit(place).netloc.rpartition("@")[2] for place in places if is_url(place)}


def is_url(place: str) -> bool:
    return _URL.fullmatch(place) is not None


def _map_files(files: FilesReference, change: Callable[[str], str]) -> FilesReference:
    rootfs = change(files.rootfs) if files.rootfs else ""
    return FilesReference(kernel=change(files.kernel), initrd=change(files.initrd), rootfs=rootfs)


def _parse_files(text: str, rest: str) -> FilesReference:
    parts = dict(part.partition("=")[::2] for part in rest.split(","))
    is_known = {"kernel", "initrd"} <= set(parts) <= {"kernel", "initrd", "rootfs"}
    if not is_known or rest.count(",") != len(parts) - 1 or parts.get("rootfs") == "":
        raise InvalidValue(
            f"'{text}' does not name its files: write files:kernel=X,initrd=X,rootfs=X, each a"
            " path or a URL without commas; without rootfs= where the initrd is the whole system"
        )
    return _map_files(FilesReference(**parts), lambda place: _place(text, place))


def _place(text: str, place: str) -> str:
    """A path or a URL."""
    if "://" in place and not is_url(place):
        raise InvalidValue(f"'{place}' in '{text}' is no http:// or https:// address of a file")
    return place if is_url(place) else str(_path(text, place))


def _path(text: str, path: str) -> Path:
    if not path or "\0" in path:
        scheme = text.partition(":")[0]
        raise InvalidValue(f"'{text}' names no file: write {scheme}:PATH")
    return Path(path)


def _docker_tag(text: str, tag: str) -> str:
    """`docker save` names images NAME:TAG; NAME alone means its `latest`."""
    if not tag:
        return ""
    head, slash, last = tag.rpartition("/")
    last, colon, version = last.partition(":")
    version = version if colon else DEFAULT_TAG
    name = head + slash + last
    if not re.fullmatch(r"[A-Za-z0-9./:_-]+", name) or not _TAG.fullmatch(version):
        raise InvalidValue(
            f"'{tag}' in '{text}' is no NAME:TAG: write docker-archive:FILE[:NAME:TAG]"
        )
    return f"{name}:{version}"


def _parse_registry(text: str, body: str) -> RegistryReference:
    body, at, digest = body.partition("@")
    head, slash, last = body.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidValue(f"'{tag}' in '{text}' is no tag: write HOST/NAME:TAG")
    host, name = _split_host(text, head + slash + last)
    if not is_name(name):
        raise InvalidValue(f"'{text}' is no image: write HOST/NAME:TAG, the name in lower case")
    return RegistryReference(
        host=host,
        name=name,
        tag=tag or ("" if at else DEFAULT_TAG),
        digest=Digest(digest) if at else None,
    )


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and (match[1] is None or 0 < int(match[1]) < 65536)


def _split_host(text: str, path: str) -> tuple[str, str]:
    # The rule of all container tools: a first word is a host if it has a dot or a port, or is
    # 'localhost'; otherwise it is a name on Docker's registry, whose own images are in library/.
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if not _is_host(first):
            raise InvalidValue(f"'{first}' in '{text}' is no registry: write HOST[:PORT]/NAME")
        host = registry_name(first)
        return host, rest if host != DEFAULT_REGISTRY or "/" in rest else f"library/{rest}"
    return DEFAULT_REGISTRY, path if slash else f"library/{path}"
