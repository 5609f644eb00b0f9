"""What boot loaders fetch: scripts and boot files."""

from __future__ import annotations

import logging
import secrets

from aiohttp import web

from ..boot.decide import Decision, Outcome, decide
from ..boot.fleet import Fleet, Node
from ..boot.lifecycle import Kind
from ..boot.plan import plan_install
from ..boot.tokens import BootTokens
from ..boot.urls import BOOT_FILES
from ..cloudconfig.for_node import document_for
from ..errors import InvalidValue, NetbootError, UnknownName
from ..values import Digest, Mac, printable
from .blobs import send_blob
from .keys import BLOBS, INDEX, LOADERS, SCRIPTS, urls_of

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


@routes.get("/boot/{mac}/script.ipxe", allow_head=False)
async def script(request: web.Request) -> web.Response:
    """The boot script of one machine. Fetching it starts a boot: `explain` only looks."""
    mac = Mac(request.match_info["mac"])
    index = request.app[INDEX]
    decision = _decide(index.fleet, mac)
    if decision.node is None or decision.outcome is Outcome.NOTHING:
        raise UnknownName(f"no boot script for {mac}: {decision.reason}")
    try:
        if decision.outcome is Outcome.INSTALL:
            text = await _install(request, decision, decision.node, mac)
        else:
            text = _to_disk(request, decision, decision.node)
    except NetbootError as error:
        index.note(decision.node, Kind.REFUSED, f"no boot script: {error}")
        raise
    return web.Response(text=text, headers={"Cache-Control": "no-store"})


def _decide(fleet: Fleet, mac: Mac) -> Decision:
    """With the firmware that DHCP heard last: a script's URL does not say it."""
    node = fleet.by_mac.get(mac)
    return decide(fleet, mac, node.firmware if node else None, node.arch if node else None)


async def _install(request: web.Request, decision: Decision, node: Node, mac: Mac) -> str:
    """The brake and the count are on the disk before the machine gets its installer."""
    index, urls = request.app[INDEX], urls_of(request)
    index.reached_at(urls.base)
    tokens = BootTokens.from_random(secrets.token_bytes(16))
    plan = plan_install(decision, mac, urls, tokens)
    document_for(index.fleet, node, urls, tokens.report)  # raises before anything is started
    said = f"boot script: installs '{plan.image}', start {plan.boot} of at most {plan.max_boots}"
    assert decision.image is not None  # plan_install has looked
    begun = await index.begin_boot(node, tokens, said, decision.image)
    if begun is None:
        again = _decide(index.fleet, mac)
        if again.outcome is Outcome.INSTALL and again.node:  # of another image, since a moment
            return await _install(request, again, again.node, mac)
        return _to_disk(request, again, node)
    log.info("%s: %s", node.name, said)
    return request.app[SCRIPTS].install(plan)


def _to_disk(request: web.Request, decision: Decision, node: Node) -> str:
    index = request.app[INDEX]
    if decision.brake:
        index.brake(node, decision.reason)
    else:
        index.note(node, Kind.LEFT_ALONE, f"boot script: leave for the disk ({decision.exit})")
    return request.app[SCRIPTS].to_disk(decision, urls_of(request))


@routes.get("/loaders/{name}")
async def loader(request: web.Request) -> web.Response:
    """A boot loader that a script chains to."""
    name = request.match_info["name"]
    if name not in request.app[LOADERS]:
        raise UnknownName(f"no boot loader {name[:40]} here")
    body = request.app[LOADERS][name]
    return web.Response(body=body, content_type="application/efi")


@routes.get("/boot/{mac}/{digest}/{name}")
async def boot_file(request: web.Request) -> web.StreamResponse:
    """A boot file of the image; the MAC says on whose timeline the download is told."""
    index, name = request.app[INDEX], request.match_info["name"]
    node = index.fleet.by_mac.get(Mac(request.match_info["mac"]))
    told = node if name in BOOT_FILES and request.method == "GET" else None
    try:
        response = await _send(request, request.match_info["digest"])
    except (ConnectionError, RuntimeError) as error:
        # Firmware that is reset in the middle of a download: asyncio tells it in several ways.
        log.info("%s broke off its download of %s: %s", request.remote, printable(name), error)
        if told:
            index.note(told, Kind.FILE, f"broke off its download of {name}")
        return web.Response(status=499)  # nobody is there to read it
    if told and response.status == 200:
        index.note(
            told, Kind.FILE, f"fetched {name} ({(response.content_length or 0) / 1e6:.1f} MB)"
        )
    return response


async def _send(request: web.Request, hex_digits: str) -> web.StreamResponse:
    try:
        digest = Digest(f"sha256:{hex_digits}")
        return await send_blob(request, request.app[BLOBS].path(digest), digest)
    except (InvalidValue, FileNotFoundError):
        raise UnknownName(f"no blob sha256:{hex_digits[:64]} here") from None
