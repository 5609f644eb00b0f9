"""The HTTP application: routes, and errors as one line of text."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from ..boot.script import Scripts
from ..errors import NetbootError
from ..store.blobs import BlobStore
from ..store.boots import Boots
from ..store.index import Index
from . import artifacts, firmware, joins, keyed, nodes, registry, systems
from .inventory import add_inventory
from .keys import BLOBS, BOOTS, INDEX, LOADERS, RUNNING, SCRIPTS
from .phonehome import add_phonehome
from .running import Running

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Reports are a few fields; nothing else is taken in.
_LARGEST_BODY = 64 * 1024


def make_app(
    index: Index,
    blobs: BlobStore,
    scripts: Scripts,
    loaders: Mapping[str, bytes],
    boots: Boots,
) -> web.Application:
    """`boots` is shared with every other way in which a boot can begin."""
    app = web.Application(middlewares=[_errors], client_max_size=_LARGEST_BODY)
    app[INDEX], app[BLOBS], app[SCRIPTS], app[LOADERS] = index, blobs, scripts, loaders
    app[BOOTS], app[RUNNING] = boots, Running()
    app.add_routes(firmware.routes)
    app.add_routes(joins.routes)  # before the reports, whose route takes every path
    app.add_routes(nodes.routes)
    app.add_routes(keyed.routes)
    app.add_routes(systems.routes)  # after Kairos' documents, whose name is not any
    app.add_routes(registry.routes)
    app.add_routes(artifacts.routes)
    add_inventory(app)
    add_phonehome(app)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return web.Response(status=404, text=f"{_comment(request)}there is nothing here\n")
    except NetbootError as error:
        level = logging.WARNING if error.http_status >= 500 else logging.INFO
        log.log(level, "%s %s: %s", request.method, _public(request.path), error)
        return web.Response(status=error.http_status, text=f"{_comment(request)}{error}\n")


def _comment(request: web.Request) -> str:
    """GRUB reads the body of any answer as its configuration: there, errors are comments."""
    return "# " if request.path.endswith(".cfg") else ""


def _public(path: str) -> str:
    """A path for the log: the tokens in it are secrets."""
    parts = path.split("/")
    if len(parts) > 2 and parts[1] in ("documents", "reports"):
        parts[2] = "***"
    return "/".join(parts)[:200]
