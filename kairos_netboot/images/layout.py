"""OCI layouts on disk: a directory, or the same in one plain tar, read in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from ..errors import ImageProblem
from ..values import Digest
from .archive import OpenMember, archive_members, directory_members, read_chunks, read_places
from .manifest import (
    MANIFEST_TYPES,
    Descriptor,
    Index,
    Manifest,
    parse,
)
from .reference import LocalReference
from .source import Source, read_bounded, read_whole

INDEX = "index.json"
_MAX_REFERRERS = 1000
# The tags by which registries without an API for referrers, and cosign, find what is attached.
_STAND_IN = re.compile(r"sha256-[0-9a-f]{64}(\..+)?")

Reader: TypeAlias = Callable[[Descriptor], Iterator[bytes]]


def open_layout(reference: LocalReference) -> Source:
    """A directory with index.json and blobs/; raises ImageProblem."""
    if not reference.path.is_dir():
        raise ImageProblem("there is no such directory: write oci:DIR, or oci-archive:FILE")
    return layout_source(directory_members(reference.path), reference.tag)


def open_archive(reference: LocalReference) -> Source:
    """A plain tar of a layout; raises ImageProblem."""
    places = read_places(reference.path)
    if INDEX not in places and "manifest.json" in places:
        raise ImageProblem(
            f"it is an archive of `docker save`: write docker-archive:{reference.path}"
        )
    return layout_source(archive_members(reference.path, places), reference.tag)


def layout_source(open_member: OpenMember, tag: str) -> Source:
    def read(descriptor: Descriptor) -> Iterator[bytes]:
        return read_chunks(open_member, f"blobs/sha256/{descriptor.digest.hex}")

    def index() -> Index:
        found = parse(read_bounded(read_chunks(open_member, INDEX)))
        if not isinstance(found, Index):
            raise ImageProblem(f"its {INDEX} is no index: not an OCI layout")
        return found

    def tagged(name: str) -> bytes | None:
        entry = next((d for d in index().manifests if name in tags_of(d)), None)
        return read_whole(read(entry), entry) if entry else None

    def referrers(subject: Digest) -> tuple[Descriptor, ...]:
        listed = _listed(tagged(f"sha256-{subject.hex}"))
        found = (*_attached(index(), subject, read), *listed)
        return tuple({one.digest: one for one in found}.values())

    return Source(
        top=lambda: select(index(), tag),
        document=read,
        blob=read,
        tagged=tagged,
        referrers=referrers,
    )


def select(index: Index, wanted: str) -> Index:
    """The entries of that tag, or full name; without one, those of the only image."""
    named = [d for d in index.manifests if any(not _STAND_IN.match(tag) for tag in tags_of(d))]
    if wanted:
        chosen = [d for d in index.manifests if _is_called(d, wanted)]
    else:
        unnamed = [d for d in index.manifests if not d.names]
        # A copy made with all that belongs to an image lists its signatures as well.
        chosen = named or [d for d in unnamed if not d.artifact_type] or unnamed
    if not chosen:
        raise ImageProblem(f"it holds no image '{wanted}': it has {_listing(named) or 'none'}")
    if len({familiar(d.names[-1]) for d in chosen if d.names}) > 1:
        raise ImageProblem(f"it holds several images: add one of {_listing(chosen)}")
    return replace(index, manifests=tuple(chosen))


def tags_of(descriptor: Descriptor) -> set[str]:
    """Its tags, without the names that some tools write before them."""
    lasts = [name.rpartition("/")[2].rpartition(":") for name in descriptor.names]
    return {last for _, _, last in lasts}


def familiar(name: str) -> str:
    """A full name as `docker images` shows it: without its own registry's name."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def _is_called(descriptor: Descriptor, wanted: str) -> bool:
    full = {familiar(name) for name in descriptor.names}
    return wanted in tags_of(descriptor) or familiar(wanted) in full


def _listing(entries: Iterable[Descriptor]) -> str:
    """How each can be asked for: by its tag, or in full where several have the same."""
    full = {familiar(d.names[-1]) for d in entries}
    tags = {tag for d in entries for tag in tags_of(d)}
    return ", ".join(f":{name}" for name in sorted(tags if len(tags) >= len(full) else full))


def _listed(data: bytes | None) -> tuple[Descriptor, ...]:
    """What is listed under the tag that stands in for a registry's list of referrers."""
    found = parse(data) if data is not None else None
    return found.manifests if isinstance(found, Index) else ()


def _attached(index: Index, subject: Digest, read: Reader) -> Iterator[Descriptor]:
    """The entries whose manifests say that they belong to `subject`."""
    entries = [d for d in index.manifests if d.media_type in MANIFEST_TYPES]
    for entry in entries[:_MAX_REFERRERS]:
        try:
            manifest = parse(read_whole(read(entry), entry))
        except ImageProblem:  # a copy of one image may well lack the manifests of others
            continue
        if isinstance(manifest, Manifest) and manifest.subject == subject:
            yield replace(
                entry, artifact_type=manifest.artifact_type, annotations=manifest.annotations
            )
