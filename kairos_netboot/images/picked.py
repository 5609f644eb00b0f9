"""Single files out of a container image or an artifact, without making boot files of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, cast

from ..boot.site import RegistryHost
from ..errors import ImageProblem
from ..store.blobs import check_blob
from ..values import Arch, Blob
from .layout import open_archive, open_layout
from .manifest import Descriptor, Layer, Manifest, layers_of
from .members import members
from .progress import Tell
from .reference import LocalReference, RegistryReference, Scheme, parse
from .source import Source, naming, read_whole, resolve
from .streams import StoredLayer, verified

_LARGEST = 32 << 20
_TITLE = "org.opencontainers.image.title"


def pick(
    reference: str,
    wanted: Callable[[str], bool],
    hosts: Mapping[str, RegistryHost],
    tell: Tell,
    *,
    arch: Arch = Arch.AMD64,
    insecure: bool = False,
) -> dict[str, bytes]:
    """The wanted files by their paths, the topmost layer's first; raises ImageProblem.

    Of an artifact, its titled files. What an upper layer takes away is not looked at.
    """
    with naming(reference), _opened(reference, arch, hosts, tell, insecure=insecure) as source:
        manifest = resolve(source, arch).manifest
        found: dict[str, bytes] = {}
        for path, data in _files(source, manifest, arch, wanted):
            found.setdefault(path, data)
        return found


@contextmanager
def _opened(
    reference: str, arch: Arch, hosts: Mapping[str, RegistryHost], tell: Tell, *, insecure: bool
) -> Iterator[Source]:
    match parse(reference):
        case RegistryReference() as parsed:
            from .registry import open_registry  # 0.2 s to import

            with open_registry(parsed, insecure=insecure, hosts=hosts, tell=tell) as source:
                yield source
        case LocalReference(scheme=Scheme.LAYOUT) as parsed:
            yield open_layout(parsed)
        case LocalReference(scheme=Scheme.ARCHIVE) as parsed:
            yield open_archive(parsed)
        case _:
            raise ImageProblem("boot loaders come from a folder, a registry, oci: or oci-archive:")


def _files(
    source: Source, manifest: Manifest, arch: Arch, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    titled = [layer for layer in manifest.layers if _TITLE in layer.annotations]
    if titled and len(titled) == len(manifest.layers):
        for descriptor in titled:
            if wanted(name := descriptor.annotations[_TITLE]):
                yield name, _read(source, descriptor)
        return
    config = read_whole(source.blob(manifest.config), manifest.config)
    for layer in reversed(layers_of(manifest, config, arch)):
        yield from _in_layer(source, layer, wanted)


def _read(source: Source, descriptor: Descriptor) -> bytes:
    if descriptor.size > _LARGEST:
        raise ImageProblem(f"a file of {descriptor.size} bytes is no boot loader")
    data = bytearray()
    for chunk in source.blob(descriptor):
        data += chunk
        if len(data) > descriptor.size:
            break
    check_blob(Blob.of(bytes(data)), descriptor.digest, descriptor.size)
    return bytes(data)


def _in_layer(
    source: Source, layer: Layer, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Nothing is yielded of a layer before its digest has been checked."""
    found = []
    with tempfile.TemporaryFile() as file:
        for chunk in source.blob(layer.descriptor):
            file.write(chunk)
        file.seek(0)
        stored = StoredLayer(layer=layer, open=lambda: cast(BinaryIO, file))
        with verified(stored) as tar:
            for member, data in members(tar):
                path = member.name.removeprefix("./")
                if member.isreg() and member.size <= _LARGEST and wanted(path):
                    found.append((path, data.read(member.size)))
    yield from found
