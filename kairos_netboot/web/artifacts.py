"""What an agent upgrades to: an image as one tar, for whoever has an agent's key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import BinaryIO

from aiohttp import web

from ..boot.lifecycle import Kind
from ..boot.site import Image
from ..boot.tokens import key_of
from ..errors import InvalidValue, UnknownName
from ..images.tarball import Tarball, tarball
from ..values import Blob, Digest
from .blobs import FilePart, send
from .keys import BLOBS, INDEX
from .phonehome import PHONES, agent_with
from .phones import unauthorized

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


@routes.get("/api/v1/artifacts/{id}/image", allow_head=False)
async def image(request: web.Request) -> web.StreamResponse:
    """The image whose manifest's digest it is."""
    index = request.app[INDEX]
    agent = await agent_with(request, key_of(request.query.get("token", "")))
    node = request.app[PHONES].node(agent.node) if agent else None
    if node is None:
        return unauthorized("this key is nobody's: it was taken back, or never given")
    found = _image(request, request.match_info["id"])
    blobs = request.app[BLOBS]
    made = await asyncio.to_thread(tarball, found, lambda digest: blobs.path(digest).read_bytes())
    index.note(
        node, Kind.FILE, f"its agent fetches image '{found.name}' ({made.size / 1e6:.0f} MB)"
    )
    try:
        return await _send(request, made, found)
    except ConnectionError as error:
        log.info("%s broke off its download of '%s': %s", request.remote, found.name, error)
        return web.Response(status=499)


def _image(request: web.Request, text: str) -> Image:
    try:
        digest = Digest(f"sha256:{text}")
    except InvalidValue:
        digest = None
    fleet = request.app[INDEX].fleet
    known = [*fleet.images.values(), *fleet.former.values()]
    found = next((one for one in known if one.digest == digest), None)
    if found is None:
        raise UnknownName(f"no image sha256:{text[:64]} here")
    return found


async def _send(request: web.Request, made: Tarball, image: Image) -> web.StreamResponse:
    blobs = request.app[BLOBS]
    with ExitStack() as stack:
        files = {
            piece.content.digest: stack.enter_context(blobs.path(piece.content.digest).open("rb"))
            for piece in made.pieces
            if isinstance(piece.content, Blob)
        }

        def cut(start: int, count: int) -> Iterator[bytes | FilePart]:
            return _cut(made, files, start, count)

        kind = {"Content-Type": "application/x-tar", "Cache-Control": "no-store"}
        return await send(request, made.size, image.digest.removeprefix("sha256:"), cut, kind)


def _cut(
    made: Tarball, files: Mapping[Digest, BinaryIO], start: int, count: int
) -> Iterator[bytes | FilePart]:
    end = start + count
    for piece in made.pieces:
        first, last = max(start, piece.offset), min(end, piece.offset + piece.size)
        if first >= last:
            continue
        offset = first - piece.offset
        if isinstance(piece.content, bytes):
            yield piece.content[offset : last - piece.offset]
        else:
            file = files[piece.content.digest]
            yield FilePart(file=file, offset=offset, count=last - first)
