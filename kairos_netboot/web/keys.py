"""What the routes share; set once by the application."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from ..boot.script import Scripts
from ..boot.urls import Urls
from ..store.blobs import BlobStore
from ..store.boots import Boots
from ..store.index import Index
from .running import Running

INDEX = web.AppKey("index", Index)
BLOBS = web.AppKey("blobs", BlobStore)
SCRIPTS = web.AppKey("scripts", Scripts)
BOOTS = web.AppKey("boots", Boots)
RUNNING = web.AppKey("running", Running)
LOADERS: web.AppKey[Mapping[str, bytes]] = web.AppKey("loaders", Mapping[str, bytes])


# What a Host header may hold: it ends up in a boot script, where `${` would mean something.
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
# These leave the port out of Host, whatever their URL says: EDK2's HTTP driver and shim, which
# both call themselves UefiHttpBoot, and GRUB.
_WITHOUT_PORT = ("UefiHttpBoot", "GRUB")


def urls_of(request: web.Request) -> Urls:
    """Under the address the machine reached us by: the one that is sure to work for it."""
    host, own = request.headers.get("Host", ""), ("", 0)
    if request.transport is not None:
        own = request.transport.get_extra_info("sockname")[:2]
    match = _HOST.fullmatch(host)
    if match is None:
        host = f"[{own[0]}]:{own[1]}" if ":" in own[0] else f"{own[0]}:{own[1]}"
    elif not match[2] and request.headers.get("User-Agent", "").startswith(_WITHOUT_PORT):
        host += f":{own[1]}"
    return Urls(f"{request.scheme}://{host}")
