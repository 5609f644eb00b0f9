"""The read side of the OCI distribution API: nodes install and upgrade from our images."""

from __future__ import annotations

import asyncio
import json
import logging

from aiohttp import web

from ..store.blobs import BlobStore
from ..values import Digest, printable
from .blobs import names, send_blob
from .distribution import (
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    Ask,
    Code,
    Page,
    Refused,
    What,
    accepts,
    page,
    read_path,
)
from .keys import BLOBS, INDEX
from .repositories import Offered, Repository, catalog, repository

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_FOR_EVER = "public, max-age=31536000, immutable"


@routes.route("*", "/v2")
@routes.route("*", "/v2/{rest:.*}")
async def distribution(request: web.Request) -> web.StreamResponse:
    """All of it: the paths are read here, as they came, because names have slashes in them."""
    try:
        if request.method not in ("GET", "HEAD"):
            raise Refused(Code.UNSUPPORTED, "this registry can only be read")
        return await _answer(request, read_path(request.rel_url.raw_path))
    except Refused as error:
        path = printable(request.path)
        log.info("registry: %s %s %s: %s", request.remote, request.method, path, error)
        headers = {**_VERSION, **({"Allow": "GET, HEAD"} if error.http_status == 405 else {})}
        return web.json_response(error.body, status=error.http_status, headers=headers)


async def _answer(request: web.Request, ask: Ask) -> web.StreamResponse:
    fleet = request.app[INDEX].fleet
    if ask.what is What.API:
        return web.json_response({}, headers=_VERSION)
    if ask.what is What.CATALOG:
        shown = page(catalog(fleet), request.path, request.query)
        return _listed({"repositories": shown.items}, shown)
    found = repository(fleet, ask.name, _registry_meant(request))
    if ask.what is What.MANIFEST:
        return await _manifest(request, found, ask)
    if ask.what is What.BLOB and ask.digest:
        return await _blob(request, found.blob(ask.digest).digest)
    if ask.what is What.REFERRERS:
        return _no_referrers(request)
    shown = page(found.tags, request.path, request.query)
    return _listed({"name": found.name, "tags": shown.items}, shown)


def _registry_meant(request: web.Request) -> str:
    """The registry that the client takes us for: what containerd sends a mirror."""
    registry = request.query.get("ns", "")
    return "" if registry == request.host else registry


def _listed(body: dict[str, object], shown: Page) -> web.Response:
    link = {"Link": shown.link} if shown.link else {}
    return web.json_response(body, headers={**_VERSION, **link})


async def _manifest(request: web.Request, found: Repository, ask: Ask) -> web.Response:
    offered = found.manifest(ask)
    _check_type(request, offered, ask)
    etag = f'"{offered.digest}"'
    headers = {
        **_VERSION,
        "Docker-Content-Digest": offered.digest,
        "ETag": etag,
        # A tag moves when its image is updated.
        "Cache-Control": _FOR_EVER if ask.digest else "no-cache",
    }
    asked = request.headers.get("If-None-Match", "")
    if names(asked, etag) or names(asked, offered.digest):  # some clients leave the quotes out
        return web.Response(status=304, headers=headers)
    body = offered.data or await _stored(request.app[BLOBS], offered)
    if request.method == "GET":
        images = " and ".join(f"'{name}'" for name in offered.images)
        what = f"{found.name}@{ask.digest}" if ask.digest else f"{found.name}:{ask.tag}"
        log.info(
            "registry: %s pulls %s (image %s, %s)", request.remote, what, images, offered.digest
        )
    return web.Response(body=body, headers={**headers, "Content-Type": offered.media_type})


def _check_type(request: web.Request, offered: Offered, ask: Ask) -> None:
    """Refuse a tag of a type that the client does not take, as CNCF's distribution does: with 404,
    on which clients ask the next mirror. It too gives Docker's own type to everybody, but it does
    not know wildcards, and refuses digests. A digest names bytes, and so their type: it is served.
    """
    if ask.digest or offered.media_type == DOCKER_MANIFEST_TYPE:
        return
    if not accepts(request.headers.getall("Accept", ()), offered.media_type):
        raise Refused(
            Code.MANIFEST_UNKNOWN,
            f"{ask.name}:{ask.tag} is {offered.media_type}, which the request does not accept",
        )


async def _stored(blobs: BlobStore, offered: Offered) -> bytes:
    read = blobs.path(offered.digest).read_bytes
    try:
        return await asyncio.get_running_loop().run_in_executor(None, read)
    except FileNotFoundError:
        raise _lost(Code.MANIFEST_UNKNOWN, offered.digest) from None


async def _blob(request: web.Request, digest: Digest) -> web.StreamResponse:
    headers = {**_VERSION, "Docker-Content-Digest": digest}
    try:
        return await send_blob(request, request.app[BLOBS].path(digest), digest, headers)
    except FileNotFoundError:
        raise _lost(Code.BLOB_UNKNOWN, digest) from None
    except (ConnectionError, RuntimeError) as error:
        # The client is gone; asyncio tells it in several ways.
        log.info("registry: %s broke off its download of %s: %s", request.remote, digest, error)
        return web.Response(status=499)


def _lost(code: Code, digest: Digest) -> Refused:
    log.warning("registry: %s is not in the blob store any more: add its image again", digest)
    return Refused(code, f"{digest} is lost here: the server's log says more")


def _no_referrers(request: web.Request) -> web.Response:
    """Signatures and the like are not kept: an empty list, by the specification, and not 404."""
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}).encode()
    filtered = {"OCI-Filters-Applied": "artifactType"} if "artifactType" in request.query else {}
    return web.Response(body=body, headers={**_VERSION, **filtered, "Content-Type": INDEX_TYPE})
