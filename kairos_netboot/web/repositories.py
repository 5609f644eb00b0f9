"""The images kept here, as the repositories of a registry. Pure: from the fleet, in memory.

Every image is NAME:latest, and its version before NAME:former. One that came from a registry is
under the path it has there too, so that this server can stand in for that registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..boot.fleet import Fleet
from ..boot.site import Content, Image
from ..errors import InvalidValue
from ..images.manifest import encode, entry
from ..images.reference import RegistryReference, is_name, parse, registry_name
from ..values import Blob, Digest
from .distribution import INDEX_TYPE, Ask, Code, Refused

LATEST, FORMER = "latest", "former"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A manifest or index to hand out. `data` None: it is in the blob store."""

    media_type: str
    digest: Digest
    images: tuple[str, ...]  # which of ours it is
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A registry that an image came from, its tag there, and the image."""

    host: str
    tag: str
    image: Image
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What is served under one name. More than one place for a tag: see `_one_of`."""

    name: str
    tags: Mapping[str, tuple[Place, ...]]
    contents: tuple[Place, ...]

    def manifest(self, ask: Ask) -> Offered:
        """By tag or digest; raises Refused."""
        if ask.digest is None:
            return self._tagged(ask.tag)
        for place in self.contents:
            if place.content.manifest.digest == ask.digest:
                return _offered(place)
        for places in self.tags.values():
            index = _index(places)
            if index and index.digest == ask.digest:
                return index
        raise Refused(Code.MANIFEST_UNKNOWN, f"'{self.name}' has no manifest {ask.digest} here")

    def _tagged(self, tag: str) -> Offered:
        if tag not in self.tags:
            known = ", ".join(sorted(self.tags)) or "none"
            raise Refused(
                Code.MANIFEST_UNKNOWN, f"'{self.name}' has no tag '{tag}' here (tags: {known})"
            )
        return _one_of(self.tags[tag], f"{self.name}:{tag}")

    def blob(self, digest: Digest) -> Blob:
        """A config or layer of this repository, and no other; raises Refused."""
        for place in self.contents:
            for blob in (*place.content.blobs, place.content.manifest):
                if blob.digest == digest:
                    return blob
        raise Refused(Code.BLOB_UNKNOWN, f"'{self.name}' has no blob {digest} here")


def repository(fleet: Fleet, name: str, registry: str = "") -> Repository:
    """All that is known under `name`; raises Refused.

    `registry` is the one that a client takes us for, as containerd tells by `?ns=`; empty where
    it asks us as ourselves, or does not say.
    """
    registry = registry_name(registry)
    present = list(_places(fleet.images.values(), name, registry))
    former = list(_places(fleet.former.values(), name, registry))
    tags: dict[str, list[Place]] = {}
    for place in present:
        tags.setdefault(place.tag, []).append(place)
    for place in former:  # only where its tag did not go on to another version
        if not any(place.host == other.host for other in tags.get(place.tag, ())):
            tags.setdefault(place.tag, []).append(place)
    own = {} if registry else dict(_own(fleet, name))
    # Our own names win: NAME:latest is the image NAME here, wherever others come from.
    tags |= {tag: [place] for tag, place in own.items()}
    contents = (*own.values(), *present, *former)
    if not contents:
        raise Refused(Code.NAME_UNKNOWN, _why_not(fleet, name, registry))
    tagged = {tag: tuple(places) for tag, places in tags.items() if tag}
    return Repository(name=name, tags=tagged, contents=contents)


def catalog(fleet: Fleet) -> set[str]:
    """The names of all repositories."""
    images = [image for image in fleet.images.values() if image.content]
    own = {image.name for image in images if is_name(image.name)}
    return own | {source.name for image in images if (source := _source(image))}


def _own(fleet: Fleet, name: str) -> Iterator[tuple[str, Place]]:
    for tag, images in ((LATEST, fleet.images), (FORMER, fleet.former)):
        image = images.get(name)
        if image and image.content:
            yield tag, Place(host="", tag=tag, image=image, content=image.content)


def _places(images: Iterable[Image], name: str, registry: str) -> Iterator[Place]:
    """Where images have this path in a registry, or in this one registry. A digest has no tag."""
    for image in images:
        source = _source(image)
        if not image.content or not source or source.name != name:
            continue
        if registry in ("", source.host):
            yield Place(
                host=source.host,
                tag=source.tag,
                image=image,
                content=image.content,
            )


def _source(image: Image) -> RegistryReference | None:
    try:
        reference = parse(image.source.reference)
    except InvalidValue:
        return None
    return reference if isinstance(reference, RegistryReference) else None


def _one_of(places: tuple[Place, ...], what: str) -> Offered:
    """The one manifest that several places agree on, or an index of their platforms.

    Never a guess: of two images that are not the same one of two platforms, none is given.
    """
    if len({place.content.manifest.digest for place in places}) == 1:
        return _offered(*places)
    if index := _index(places):
        return index
    images = " and ".join(f"'{place.image.name}' from {place.host}" for place in places)
    raise Refused(
        Code.MANIFEST_UNKNOWN,
        f"{what} could be {images}: ask with ?ns=REGISTRY, by digest, or for NAME:{LATEST}",
    )


def _offered(*places: Place) -> Offered:
    content = places[0].content
    return Offered(
        media_type=content.media_type,
        digest=content.manifest.digest,
        images=tuple(sorted({place.image.name for place in places})),
    )


def _index(places: tuple[Place, ...]) -> Offered | None:
    """One tag of one registry, kept for several platforms: the index that it is there, shortened
    to what is here. None where the places are no such thing."""
    by_arch = {place.image.facts.arch: place for place in places}
    if len(places) < 2 or len(by_arch) < len(places) or len({p.host for p in places}) > 1:
        return None
    manifests = [
        entry(
            place.content.media_type,
            place.content.manifest,
            platform={"architecture": arch, "os": "linux"},
        )
        for arch, place in sorted(by_arch.items())
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    data = encode(document)
    return Offered(
        media_type=INDEX_TYPE,
        digest=Digest.of(data),
        images=tuple(sorted(place.image.name for place in places)),
        data=data,
    )


def _why_not(fleet: Fleet, name: str, registry: str) -> str:
    if registry:
        return f"no image from {registry}/{name} is kept here"
    if name not in fleet.images:
        return f"no image '{name}' here: `kairos-netboot images list` shows those that are"
    return (
        f"of the image '{name}' only the boot files are kept here: add it again, from a registry"
        " or an archive of a container image"
    )
