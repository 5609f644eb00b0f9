"""What the nodes themselves ask and tell: documents out, reports in."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from ..boot.actions import Action
from ..boot.fleet import Node
from ..boot.lifecycle import Kind
from ..boot.tokens import BootTokens, key_of
from ..cloudconfig.for_node import document_for
from ..cloudconfig.loud import refusal
from ..errors import NetbootError, UnknownName
from ..values import printable
from .keys import INDEX, urls_of

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

_STEP = re.compile(r"[a-z0-9-]{1,40}")


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


@dataclass(frozen=True, slots=True)
class Report:
    kind: Kind
    text: str


def read_report(path: str, fields: Mapping[str, str]) -> Report | None:
    """What a report's path and fields say; None for one we do not know."""
    if path == "step/written":
        # All is on the disk, boot loader included: should the last report not come through, the
        # next boot is the disk's all the same.
        return Report(Kind.INSTALL_FINISHED, "installer: written")
    step = path.removeprefix("step/")
    if path.startswith("step/") and _STEP.fullmatch(step):
        return Report(Kind.INSTALL_STEP, f"installer: {step}")
    match path:
        case "install-started":
            return Report(Kind.INSTALL_STARTED, "installer: started")
        case "install-finished":
            return Report(Kind.INSTALL_FINISHED, "installer: finished, restarts from disk")
        case "boot-failed":
            return Report(
                Kind.BOOT_FAILED, "the boot loader could not load the kernel or the initrd"
            )
        case "ready":
            name = printable(fields.get("hostname", ""))
            return Report(Kind.READY, f"the installed system is up, host name '{name}'")
    return None


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
    told = read_report(path, fields)
    if told is None:
        raise UnknownName(f"no report '{path[:60]}' is known here")
    after = await index.report(node, told.kind, told.text, f"report:{key[:16]}:{path}")
    log.info("%s: %s (%s)", node.name, told.text, after.state)
    return web.Response(text="ok\n")
