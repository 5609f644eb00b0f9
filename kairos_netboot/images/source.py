"""Where an image's bytes come from, as functions; and the way to the manifest for a platform."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import ImageProblem, StoreProblem
from ..store.blobs import check_blob
from ..values import Arch, Blob, Digest, printable
from .manifest import (
    MAX_DOCUMENT,
    Descriptor,
    Index,
    Manifest,
    choose,
    parse,
)
from .reference import shown

_MAX_SAID = 600
_MAX_NESTING = 4  # a layout's index, an image's index, its manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An archive, a layout or a repository of a registry. Nothing it returns is checked yet.

    `document` reads a manifest or index, `blob` a config or layer; both raise ImageProblem.
    `tagged` is a manifest by its tag, None where there is none; `referrers` what is attached to
    a manifest (OCI 1.1), by the registry's API or by the tag that stands in for it.
    """

    top: Callable[[], Index | Manifest]
    document: Callable[[Descriptor], Iterable[bytes]]
    blob: Callable[[Descriptor], Iterator[bytes]]
    tagged: Callable[[str], bytes | None]
    referrers: Callable[[Digest], tuple[Descriptor, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The one manifest for a platform; `chain` is the digests of all that led to it, the
    reference's own first: a signature of any of them holds for it."""

    manifest: Manifest
    chain: tuple[Digest, ...]


def resolve(source: Source, arch: Arch) -> Resolved:
    """Follow indexes down to the manifest for Linux on `arch`; or ImageProblem."""
    found, chain = source.top(), []
    for _ in range(_MAX_NESTING):
        chain.append(found.digest)
        if isinstance(found, Manifest):
            return Resolved(manifest=found, chain=tuple(chain))
        descriptor = choose(found, arch)
        found = parse(read_whole(source.document(descriptor), descriptor))
    raise ImageProblem(f"its indexes are nested more than {_MAX_NESTING} deep")


def read_whole(chunks: Iterable[bytes], descriptor: Descriptor) -> bytes:
    """A small document or blob, its size and digest checked."""
    data = read_bounded(chunks)
    check_blob(Blob.of(data), descriptor.digest, descriptor.size)
    return data


def read_bounded(chunks: Iterable[bytes]) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_DOCUMENT:
            raise ImageProblem(f"a document of more than {MAX_DOCUMENT >> 20} MiB: no manifest")
    return bytes(data)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Problems of an image name it; what the disk refuses is the store's problem."""
    try:
        yield
    except ImageProblem as problem:
        # Manifests, too, hold texts as long as their makers want, and what terminals obey.
        said = printable(str(problem), _MAX_SAID)
        raise ImageProblem(f"{shown(what)}: {said}", details=problem.details) from None
    except OSError as error:
        raise StoreProblem(f"{shown(what)}: {error.strerror or error}") from error
