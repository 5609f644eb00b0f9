"""One name in a registry: read from the registry's mirrors too, written to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import requests

from ..errors import ImageProblem
from ..values import Blob, Digest
from .fetch import pieces
from .manifest import INDEX_TYPES, MANIFEST_TYPES, MAX_DOCUMENT, Descriptor, Index, parse
from .patience import Clock, Patience, patiently
from .place import Body, Place, Upload
from .progress import Tell
from .session import Trouble, same_origin, sent_on, whole

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_COMMIT = 300.0  # seconds; after the last byte, a registry may copy a blob to where it keeps it
_MAX_PAGES = 20
# How registries say that they lack the API for referrers: OCI 1.1 wants 404.
_NO_REFERRERS = (400, 404, 405)

T = TypeVar("T")


class Repository:
    """`places`: the mirrors in their order, the registry itself last.

    All are asked once before any is asked again, as long as the registry's own answer is not
    final. Raises ImageProblem only.
    """

    def __init__(self, places: Sequence[Place], tell: Tell, clock: Clock) -> None:
        self._places, self._own = places, places[-1]
        self._tell, self._clock = tell, clock
        self._chosen: Place = self._own

    def document(self, which: str, expected: Digest | None = None) -> bytes:
        """A manifest or index by tag or digest; one that is `expected` is checked."""
        ask = partial(self._document_at, which=which, expected=expected)
        return patiently(partial(self._first, ask), self._patience())

    def find(self, tag: str) -> bytes | None:
        """The same by tag; None where no place has it."""
        return self._optional(partial(self._document_at, which=tag, expected=None), (404,))

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a config or a layer, not checked yet."""
        served, began = self._own, -1

        def open_at(offset: int, silence: float) -> requests.Response:
            nonlocal served, began
            if offset == began:  # it answered, and broke off before it sent anything
                served.down = True
            ask = partial(self._blob_at, wanted=descriptor, offset=offset)
            served, response = self._first(ask, silence)
            began = offset
            return response

        patience = Patience(lambda: str(served.endpoint), self._tell, self._clock)
        found = pieces(open_at, patience, size=descriptor.size, constant=True)
        return (chunk for _, chunk in found)

    def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """What is attached to a manifest, by the API or by the tag that stands in for it."""
        found = self._optional(partial(self._referrers_at, digest=digest), _NO_REFERRERS)
        if found is not None:
            return found
        data = self.find(f"sha256-{digest.hex}")
        index = parse(data) if data is not None else None
        return index.manifests if isinstance(index, Index) else ()

    def _document_at(
        self, place: Place, silence: float, *, which: str, expected: Digest | None
    ) -> bytes:
        response = place.get(f"manifests/{which}", silence, headers={"Accept": _ACCEPT})
        data = whole(response, MAX_DOCUMENT)
        if expected is not None and Digest.of(data) != expected:
            raise Trouble(f"sent another manifest, {Digest.of(data)}", "do not use it")
        return data

    def _blob_at(
        self, place: Place, silence: float, *, wanted: Descriptor, offset: int
    ) -> tuple[Place, requests.Response]:
        headers = {"Accept": "*/*"} | ({"Range": f"bytes={offset}-"} if offset else {})
        accepted = (200, 206, 416)
        path = f"blobs/{wanted.digest}"
        response = place.get(path, silence, headers=headers, accepted=accepted)
        stated = response.headers.get("Content-Length", str(wanted.size))
        if place.endpoint.mirror and response.status_code == 200 and stated != str(wanted.size):
            response.close()
            raise Trouble(f"has {wanted.digest} with {stated[:20]} bytes, not {wanted.size}")
        return place, response

    def _referrers_at(
        self, place: Place, silence: float, *, digest: Digest
    ) -> tuple[Descriptor, ...]:
        found: list[Descriptor] = []
        path = f"referrers/{digest}"
        for _ in range(_MAX_PAGES):
            response = place.get(path, silence, headers={"Accept": INDEX_TYPES[0]})
            try:
                page = parse(whole(response, MAX_DOCUMENT))
            except ImageProblem:
                page = None
            if not isinstance(page, Index):  # a page for browsers, at any address
                raise Trouble("does not know referrers", status=404)
            found += page.manifests
            path = sent_on(response, response.links.get("next", {}).get("url", ""))
            if path == response.url or not same_origin(path, response.url):
                break
        if not found and place.endpoint.mirror:  # few mirrors pass on what they were not asked
            raise Trouble("has no referrers", status=404)
        return tuple(found)

    def _optional(self, ask: Callable[[Place, float], T], absent: Sequence[int]) -> T | None:
        """None where the registry itself says one of these, or a mirror if nobody else answers."""

        def attempt(silence: float) -> T | None:
            try:
                return self._first(ask, silence)
            except Trouble as trouble:
                if trouble.status in absent:
                    return None
                raise

        return patiently(attempt, self._patience())

    def _first(self, ask: Callable[[Place, float], T], silence: float) -> T:
        """What the first place returns that can; raises Trouble for all of them."""
        troubles: dict[Place, Trouble] = {}
        for place in sorted(self._places, key=lambda place: place.down):
            try:
                found = ask(place, silence)
            except Trouble as trouble:
                troubles[place] = trouble
                self._note(place, trouble)
            else:
                self._choose(place)
                return found
        raise _verdict(troubles, self._own)

    def _note(self, place: Place, trouble: Trouble) -> None:
        trouble.about = str(place.endpoint)
        went_down = not place.down and (trouble.status is None or trouble.again)
        place.down = place.down or went_down
        if went_down and place is not self._own:
            self._tell(f"{trouble.about} {trouble.words}: asking elsewhere")

    def _choose(self, place: Place) -> None:
        place.down = False
        if place is not self._chosen:
            self._chosen = place
            self._tell(f"reading from {place.endpoint}")

    def _patience(self) -> Patience:
        return Patience(lambda: str(self._own.endpoint), self._tell, self._clock)

    def has_blob(self, digest: Digest) -> bool:
        """Whether the registry itself has it."""

        def ask(silence: float) -> bool:
            headers: dict[str, str] = {}
            path, accepted = f"blobs/{digest}", (200, 404)
            found = self._own.write("HEAD", path, silence, headers=headers, accepted=accepted)
            return found.status_code == 200

        return patiently(ask, self._patience())

    def push_blob(
        self,
        content: Path | bytes,
        blob: Blob,
        report: Callable[[int], None] = lambda sent: None,
    ) -> None:
        """Upload a file, or small content; nothing is sent where the registry has it already."""
        if isinstance(content, Path) and content.stat().st_size != blob.size:
            raise ImageProblem(f"{content} is not the file that it was: try again")
        if self.has_blob(blob.digest):
            report(blob.size)
            return
        patience = self._patience()

        def attempt(silence: float) -> None:
            count = 0

            def sent(more: int) -> None:
                nonlocal count
                count += more
                patience.gain(more)
                report(count)

            body = Upload(content, blob.size, sent) if isinstance(content, Path) else content
            self._upload(body, blob, silence)

        patiently(attempt, patience)
        report(blob.size)

    def _upload(self, body: Body, blob: Blob, silence: float) -> None:
        opened = self._own.write("POST", "blobs/uploads/", silence, headers={}, accepted=(202,))
        location = sent_on(opened, opened.headers.get("Location", ""))
        url = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
        headers = {"Content-Type": "application/octet-stream"}
        self._own.write("PUT", url, _COMMIT, headers=headers, accepted=(201, 204), body=body)

    def push_manifest(self, data: bytes, media_type: str, which: str) -> Digest:
        """Put a manifest or index under a tag or its digest, after all that it names."""
        headers = {"Content-Type": media_type}

        def ask(silence: float) -> None:
            path = f"manifests/{which}"
            self._own.write("PUT", path, silence, headers=headers, accepted=(201,), body=data)

        patiently(ask, self._patience())
        return Digest.of(data)


def _verdict(troubles: dict[Place, Trouble], own: Place) -> Trouble:
    """The registry's own trouble, unless it has no answer and a mirror may have one soon."""
    mine, others = troubles[own], [t for place, t in troubles.items() if place is not own]
    if mine.status is None and not mine.again:
        mine = next((trouble for trouble in others if trouble.again), mine)
    more = "; ".join(f"{t.about} {t.words}" for t in troubles.values() if t is not mine)
    if more:
        mine.words = f"{mine.words} ({more})"
    if mine.status is None:  # out of reach: what a mirror says stands
        mine.status = next((t.status for t in others if t.status in _NO_REFERRERS), None)
    return mine
