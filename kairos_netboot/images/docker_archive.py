"""Archives of `docker save` and its kin: older than OCI, without digests, so they get a manifest.

The manifest is made here, the same for the same archive, and the image is kept, served and
bundled under its digest like any other.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ImageProblem, InvalidValue
from ..values import Blob, Digest
from .archive import OpenMember, Places, archive_members, find_place, read_chunks, read_places
from .layout import INDEX, familiar, layout_source
from .manifest import MAX_LAYERS, Descriptor, Manifest, encode_manifest, entry, parse
from .reference import LocalReference
from .source import Source, read_bounded

_LISTING = "manifest.json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# `docker save` packs no layer; crane, kaniko, ko and Bazel's rules do.
_PACKED = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """An entry of manifest.json: names of files in the archive."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


def open_docker_archive(reference: LocalReference) -> Source:
    """A plain tar of `docker save`, `podman save`, skopeo or crane; raises ImageProblem."""
    places = read_places(reference.path)
    open_member = archive_members(reference.path, places)
    if INDEX in places:  # Docker 25 and later write a layout, and the old listing beside it
        return layout_source(open_member, reference.tag)
    if _LISTING not in places:
        raise ImageProblem("it has no manifest.json: not an archive of `docker save`")
    saved = _select(_load(read_bounded(read_chunks(open_member, _LISTING))), reference.tag)
    return _source(saved, places, open_member)


def _load(data: bytes) -> tuple[_Saved, ...]:
    listing = _json(data)
    if not isinstance(listing, list) or not listing:
        raise ImageProblem(f"its {_LISTING} lists no image")
    return tuple(_saved(entry) for entry in listing)


def _saved(entry: object) -> _Saved:
    if not isinstance(entry, dict):
        entry = {}
    layers, tags = entry.get("Layers"), entry.get("RepoTags") or []
    if not isinstance(layers, list) or not isinstance(tags, list) or len(layers) > MAX_LAYERS:
        raise ImageProblem(f"its {_LISTING} has an entry without a list of layers")
    return _Saved(
        config=_normal(entry.get("Config")),
        layers=tuple(map(_normal, layers)),
        tags=tuple(familiar(str(tag)[:300]) for tag in tags),
    )


def _select(listing: tuple[_Saved, ...], wanted: str) -> _Saved:
    fitting = [saved for saved in listing if not wanted or familiar(wanted) in saved.tags]
    offered = ", ".join(f":{tag}" for saved in listing for tag in saved.tags)
    if not fitting:
        raise ImageProblem(f"it holds no image '{wanted}': it has {offered or 'none with a name'}")
    if len(fitting) > 1:
        raise ImageProblem(f"it holds several images: add one of {offered}")
    return fitting[0]


def _source(saved: _Saved, places: Places, open_member: OpenMember) -> Source:
    config = read_bounded(read_chunks(open_member, saved.config))
    layers = tuple(_layers(saved, _diff_ids(config), places, open_member))
    manifest = parse(_manifest(config, layers))
    assert isinstance(manifest, Manifest)
    names = dict(zip((layer.digest for layer in layers), saved.layers, strict=True))
    names[Digest.of(config)] = saved.config

    def read(descriptor: Descriptor) -> Iterator[bytes]:
        return read_chunks(open_member, names.get(descriptor.digest, descriptor.digest))

    return Source(
        top=lambda: manifest,
        document=read,
        blob=read,
        tagged=lambda tag: None,
        referrers=lambda subject: (),
    )


def _layers(
    saved: _Saved, diff_ids: tuple[Digest, ...], places: Places, open_member: OpenMember
) -> Iterator[Descriptor]:
    if len(diff_ids) != len(saved.layers):
        raise ImageProblem(f"its config does not list the layers its {_LISTING} lists")
    for name, diff_id in zip(saved.layers, diff_ids, strict=True):
        packing = _packing(open_member, name)
        # What is not packed is its own diff_id; that it is, the reader of the blob checks.
        blob = (
            _hash(open_member, name)
            if packing
            else Blob(digest=diff_id, size=find_place(places, name).size)
        )
        yield Descriptor(media_type=_LAYER_TYPE + packing, digest=blob.digest, size=blob.size)


def _packing(open_member: OpenMember, name: str) -> str:
    with open_member(name) as file:
        head = file.read(4)
    return next((suffix for magic, suffix in _PACKED.items() if head.startswith(magic)), "")


def _hash(open_member: OpenMember, name: str) -> Blob:
    sha256, size = hashlib.sha256(), 0
    for chunk in read_chunks(open_member, name):
        sha256.update(chunk)
        size += len(chunk)
    return Blob(digest=Digest("sha256:" + sha256.hexdigest()), size=size)


def _diff_ids(config: bytes) -> tuple[Digest, ...]:
    document = _json(config)
    rootfs = document.get("rootfs") if isinstance(document, dict) else None
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    try:
        return tuple(Digest(str(one)) for one in (listed if isinstance(listed, list) else ()))
    except InvalidValue as problem:
        raise ImageProblem(f"its config names a layer wrongly: {problem}") from None


def _manifest(config: bytes, layers: tuple[Descriptor, ...]) -> bytes:
    about = entry(_CONFIG_TYPE, Blob.of(config))
    return encode_manifest(about, [entry(layer.media_type, layer.blob) for layer in layers])


def _normal(name: object) -> str:
    return posixpath.normpath(str(name))


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ImageProblem(f"its {_LISTING} or config is not JSON") from None
