"""Large files over HTTP: straight from the page cache (sendfile), whole or in part.

Not aiohttp's FileResponse: it makes its ETag from the file's time, answers several ranges with
416, and goes on with a download whose If-Range names another ETag.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from aiohttp import web

from ..values import Digest
from .ranges import ByteRange, byte_range


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Bytes of an open file."""

    file: BinaryIO
    offset: int
    count: int


# What lies between an offset and so many bytes after it.
Cut: TypeAlias = Callable[[int, int], Iterable[bytes | FilePart]]


async def send_blob(
    request: web.Request, path: Path, digest: Digest, more: Mapping[str, str] = MappingProxyType({})
) -> web.StreamResponse:
    """The whole file, a part, or 304; raises FileNotFoundError. `more`: headers besides ours."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size

        def cut(start: int, count: int) -> Iterable[FilePart]:
            return [FilePart(file=file, offset=start, count=count)]

        headers = {"Cache-Control": "public, max-age=31536000, immutable", **more}
        return await send(request, size, digest.hex, cut, headers)


async def send(
    request: web.Request, size: int, version: str, cut: Cut, more: Mapping[str, str]
) -> web.StreamResponse:
    """`version` names these very bytes: a download that is resumed must be of the same."""
    etag = f'"{version}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        **more,
    }
    if names(request.headers.get("If-None-Match", ""), etag):
        return web.Response(status=304, headers=headers)
    if "If-Match" in request.headers and not names(request.headers["If-Match"], etag):
        return web.Response(status=412)
    part = _part(request, etag, size)
    if part and not part.count:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    response = _response(part, size, headers)
    await response.prepare(request)
    if request.method == "GET" and size:
        start, count = (part.start, part.count) if part else (0, size)
        await _write(request, response, cut(start, count))
    await response.write_eof()
    return response


def names(header: str, etag: str) -> bool:
    """Whether an If-None-Match or If-Match header names this version."""
    return any(one.strip().removeprefix("W/") in ("*", etag) for one in header.split(","))


async def _write(
    request: web.Request, response: web.StreamResponse, pieces: Iterable[bytes | FilePart]
) -> None:
    for piece in pieces:
        if isinstance(piece, bytes):
            await response.write(piece)
        elif request.transport is not None:  # it has not gone away
            loop = asyncio.get_running_loop()
            await loop.sendfile(request.transport, piece.file, piece.offset, piece.count)


def _part(request: web.Request, etag: str, size: int) -> ByteRange | None:
    """RFC 9110, 13.1.5: a Range whose If-Range names another file is not applied."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    return byte_range(request.headers.get("Range", ""), size)


def _response(part: ByteRange | None, size: int, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    response.content_length = part.count if part else size
    if part:
        last = part.start + part.count - 1
        response.headers["Content-Range"] = f"bytes {part.start}-{last}/{size}"
    return response
