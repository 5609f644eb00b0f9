"""What the nodes themselves ask and tell: documents out, reports in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import web

from ..boot.actions import Action
from ..boot.fleet import Node
from ..boot.lifecycle import Kind
from ..boot.tokens import BootTokens, key_of
from ..cloudconfig.for_node import document_for
from ..cloudconfig.loud import refusal
from ..cloudconfig.mask import mask_text
from ..errors import NetbootError, UnknownName
from ..store.index import Index
from ..store.logs import put_report
from ..store.store import Store
from .keys import INDEX, urls_of
from .reports import Report, read_report

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


@routes.get("/documents/{token}/cloud-config.yaml")
async def document(request: web.Request) -> web.Response:
    """The node's cloud-config, as often as it asks during its boot.

    Never an error: Kairos takes any failure to fetch it for an empty configuration, silently.
    """
    index, token = request.app[INDEX], request.match_info["token"]
    node = index.fleet.by_document_key(key_of(token))
    if node is None:
        return refuse(request, None, "this address is of an earlier boot, or of none")
    if not node.opens_document:
        return refuse(request, node, f"{node.name} is {node.state}, not being installed")
    try:
        report, action = BootTokens(token).report, node.running or Action.INSTALL
        built = document_for(index.fleet, node, urls_of(request), report, action)
    except NetbootError as error:
        return refuse(request, node, str(error))
    if request.method == "GET":
        index.note(node, Kind.DOCUMENT, "fetched its cloud-config", f"document:{key_of(token)}")
    return send_document(built.text)


def refuse(request: web.Request, node: Node | None, reason: str) -> web.Response:
    """A document that installs nothing, and says why."""
    log.warning("no document for %s: %s", request.remote, reason)
    if node is not None:
        request.app[INDEX].note(node, Kind.REFUSED, f"got no document: {reason}")
    return send_document(refusal(reason))


def send_document(text: str) -> web.Response:
    return web.Response(
        text=text, content_type="application/yaml", headers={"Cache-Control": "no-store"}
    )


@routes.post("/reports/{token}/{event:.+}")
async def report(request: web.Request) -> web.Response:
    """Answered when it is on the disk; a report told twice is written once."""
    fields = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    return await _take(request, fields)


@routes.get("/reports/{token}/boot-failed", allow_head=False)
async def boot_failed(request: web.Request) -> web.Response:
    """iPXE can only GET."""
    return await _take(request, {})


async def _take(request: web.Request, fields: Mapping[str, str]) -> web.Response:
    index, path = request.app[INDEX], request.match_info.get("event", "boot-failed")
    key = key_of(request.match_info["token"])
    node = index.fleet.by_report_key(key)
    if node is None:
        log.warning("report '%s' from %s belongs to no present boot", path[:60], request.remote)
        raise UnknownName("this report's address belongs to no present boot")
    told = read_report(path, fields, request.remote or "")
    if told is None:
        raise UnknownName(f"no report '{path[:60]}' is known here")
    told = without_secrets(told, index, node)
    if told.facts and node.macs:
        index.seen(node.macs[0], told.facts)  # on the disk with the report
    if told.lines:
        await index.ask(lambda store: _keep(store, node, told.lines))
    after = await index.report(node, told.kind, told.text, f"report:{key[:16]}:{path}")
    log.info("%s: %s (%s)", node.name, told.text, after.state)
    return web.Response(text="ok\n")


def without_secrets(told: Report, index: Index, node: Node) -> Report:
    """An installer that fails may print what it was given."""
    if not told.lines and told.kind is not Kind.INSTALL_FAILED:
        return told
    profile = index.fleet.profile_of(node)
    given = {
        "profile": profile.variables if profile else {},
        "node": node.spec.variables if node.spec else {},
        "secrets": [standing.secrets for standing in index.fleet.standings.values()],
    }
    lines = mask_text("\n".join(told.lines), given).splitlines()
    return replace(told, text=mask_text(told.text, given), lines=tuple(lines))


def _keep(store: Store, node: Node, lines: tuple[str, ...]) -> None:
    with store.writing() as connection:
        put_report(connection, node.id, datetime.now(UTC), lines)
