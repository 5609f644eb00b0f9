"""What the routes share; set once by the application."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from ..boot.script import Scripts
from ..boot.urls import Urls
from ..store.blobs import BlobStore
from ..store.index import Index

INDEX = web.AppKey("index", Index)
BLOBS = web.AppKey("blobs", BlobStore)
SCRIPTS = web.AppKey("scripts", Scripts)
LOADERS: web.AppKey[Mapping[str, bytes]] = web.AppKey("loaders", Mapping[str, bytes])


# What a Host header may hold: it ends up in a boot script, where `${` would mean something.
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def urls_of(request: web.Request) -> Urls:
    """Under the address the machine reached us by: the one that is sure to work for it."""
    host = request.headers.get("Host", "")
    if not _HOST.fullmatch(host) and request.transport is not None:
        address, port = request.transport.get_extra_info("sockname")[:2]
        host = f"{address}:{port}"
    return Urls(f"{request.scheme}://{host}")
