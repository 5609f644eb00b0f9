"""Where a registry is asked: its mirrors first, then itself; and whose certificates are trusted."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..boot.site import RegistryHost
from ..errors import ImageProblem
from .reference import DEFAULT_REGISTRY

# Docker's registry answers its API under another name than people write.
_DEFAULT_API = "registry-1.docker.io"
# Where Podman and Docker look for the authorities of one registry, in HOST[:PORT]/*.crt.
CERT_FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place to ask. `host` is the name that logins are filed under."""

    host: str
    base: str  # what comes before the repository's name
    mirror: bool = False

    @property
    def plain(self) -> bool:
        return self.base.startswith("http://")

    def __str__(self) -> str:
        return f"the {'mirror' if self.mirror else 'registry'} {self.host}"


def endpoints_for(
    host: str, *, insecure: bool, hosts: Mapping[str, RegistryHost]
) -> tuple[Endpoint, ...]:
    """The mirrors in their order, then the registry itself."""
    known = hosts.get(host, RegistryHost(host=host))
    api = _DEFAULT_API if host == DEFAULT_REGISTRY else host
    scheme = "http" if insecure or known.insecure else "https"
    own = Endpoint(host=host, base=f"{scheme}://{api}/v2/")
    return (*(_mirror(mirror, hosts) for mirror in known.mirrors), own)


def _mirror(text: str, hosts: Mapping[str, RegistryHost]) -> Endpoint:
    scheme, separator, place = text.rpartition("://")
    host, _, prefix = place.partition("/")
    if not separator:
        known = hosts.get(host)
        scheme = "http" if known is not None and known.insecure else "https"
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return Endpoint(host=host, base=f"{scheme}://{host}/v2/{prefix}", mirror=True)


def trust_for(
    host: str,
    hosts: Mapping[str, RegistryHost],
    folders: Sequence[Path] = CERT_FOLDERS,
) -> ssl.SSLContext:
    """The system's authorities and this host's own; raises ImageProblem that names the file."""
    context = ssl.create_default_context()
    known = hosts.get(host)
    named = [Path(known.ca)] if known is not None and known.ca else []
    for path in (*named, *_found(host, folders)):
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:  # ssl.SSLError is one
            why = "no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise ImageProblem(f"the CA for {host}, {path}, cannot be used: {why}") from None
    return context


def _found(host: str, folders: Sequence[Path]) -> list[Path]:
    places = [folder / host for folder in folders]
    try:
        return [path for place in places if place.is_dir() for path in sorted(place.glob("*.crt"))]
    except OSError as error:
        raise ImageProblem(
            f"the CAs for {host} cannot be read: {error.filename}: {error.strerror}"
        ) from None
