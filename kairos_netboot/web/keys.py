"""What the routes share; set once by the application."""

from __future__ import annotations

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


def urls_of(request: web.Request) -> Urls:
    """Under the address the machine reached us by: the one that is sure to work for it."""
    return Urls(f"{request.scheme}://{request.host}")
