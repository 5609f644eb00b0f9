"""The documents of systems other than Kairos.

What is refused is an HTTP error: none of these systems takes one for an empty configuration.
Ignition ends the boot at any answer below 500 and asks again after others, Talos asks again until
it gets one, and k3OS' installer stops (docs/systems.md).
"""

from __future__ import annotations

import logging

from aiohttp import web

from ..boot.actions import Action
from ..boot.families import (
    INSTALLER_FILE,
    Family,
    ends_with_document,
    family_of,
    opens_document,
)
from ..boot.fleet import Node
from ..boot.lifecycle import Kind
from ..boot.tokens import BootTokens, key_of
from ..cloudconfig.document import Document
from ..cloudconfig.for_node import document_for
from ..cloudconfig.systems import installer_document
from ..errors import NetbootError, UnknownName
from .keys import INDEX, urls_of

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


@routes.get("/documents/{token}/{name}")
async def system_document(request: web.Request) -> web.Response:
    """By the present boot's token. Where nothing else tells the end of an install, this is it."""
    index, token = request.app[INDEX], request.match_info["token"]
    node = index.fleet.by_document_key(key_of(token))
    if node is None:
        raise UnknownName("this address is of an earlier boot, or of none")
    family, name = family_of(index.fleet, node), request.match_info["name"]
    if family is None or name not in _names(family):
        raise UnknownName(f"{node.name} has no such document")
    try:
        if not opens_document(index.fleet, node):
            raise UnknownName(f"{node.name} is {node.state}, not being installed")
        built = _built(request, node, family, token)
    except NetbootError as error:
        log.warning("no document for %s: %s", request.remote, error)
        index.note(node, Kind.REFUSED, f"got no document: {error}")
        raise
    if request.method == "GET":
        await _fetched(request, node, family, token)
    return web.Response(
        text=built.text,
        content_type=family.content_type,
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )


def _names(family: Family) -> tuple[str, ...]:
    return (family.file, *((INSTALLER_FILE,) if family.installer else ()))


def _built(request: web.Request, node: Node, family: Family, token: str) -> Document:
    index, urls = request.app[INDEX], urls_of(request)
    report, action = BootTokens(token).report, node.running or Action.INSTALL
    profile = index.fleet.profile_of(node)
    if request.match_info["name"] == family.file or profile is None:
        return document_for(index.fleet, node, urls, report, action)
    if action is not Action.INSTALL:
        raise UnknownName(f"{node.name} runs from memory: it has no installer")
    return installer_document(profile, urls, token, urls.report(report))


async def _fetched(request: web.Request, node: Node, family: Family, token: str) -> None:
    index, name, key = request.app[INDEX], request.match_info["name"], key_of(token)
    what = f"its {family.form}" if name == family.file else "its installer's config"
    index.note(node, Kind.DOCUMENT, f"fetched {what}", f"document:{name}:{key}")
    if name == family.file and ends_with_document(index.fleet, node):
        said = f"took its {family.form}; nothing more is told of this install"
        await index.report(node, Kind.INSTALL_FINISHED, said, f"taken:{key}")
