"""Where an image's bytes come from, as four functions; and the way from there to its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..errors import ImageProblem
from ..store.blobs import check_blob
from ..values import Arch, Blob, Digest
from .manifest import (
    MAX_DOCUMENT,
    Descriptor,
    Index,
    Layer,
    Manifest,
    choose,
    layers_of,
    parse,
)
from .streams import Opener

_MAX_NESTING = 4  # a layout's index, an image's index, its manifest

Report: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An archive, a layout or a registry. Nothing it returns is checked yet, but layers it fetched.

    `layer` makes a layer readable any number of times, in the directory if it must be fetched;
    its report hears the bytes fetched.
    """

    top: Callable[[], Index | Manifest]
    document: Callable[[Descriptor], Iterable[bytes]]
    config: Callable[[Descriptor], Iterable[bytes]]
    layer: Callable[[Descriptor, Path, Report], Opener]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The one image for a platform. `digest` is its manifest's."""

    digest: Digest
    layers: tuple[Layer, ...]


def resolve(source: Source, arch: Arch) -> Resolved:
    """Follow indexes down to the manifest for Linux on `arch`; or ImageProblem."""
    found = source.top()
    for _ in range(_MAX_NESTING):
        if isinstance(found, Manifest):
            config = read_document(source.config(found.config), found.config)
            return Resolved(digest=found.digest, layers=layers_of(found, config, arch))
        descriptor = choose(found, arch)
        found = parse(read_document(source.document(descriptor), descriptor))
    raise ImageProblem(f"its indexes are nested more than {_MAX_NESTING} deep")


def read_document(chunks: Iterable[bytes], descriptor: Descriptor) -> bytes:
    """A small document whole, its size and digest checked."""
    data = read_bounded(chunks)
    found = Blob(digest=Digest.of(data), size=len(data))
    check_blob(found, descriptor.digest, descriptor.size)
    return data


def read_bounded(chunks: Iterable[bytes]) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_DOCUMENT:
            raise ImageProblem(f"a document of more than {MAX_DOCUMENT >> 20} MiB: no manifest")
    return bytes(data)
