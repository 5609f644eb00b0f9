"""Documents for nodes whose command line we do not write: trusted boot signs it.

Their images carry one address for all machines, which Kairos completes with a machine's MAC or
UUID. Neither is a secret. So the address holds a key that the operator chose, and opens nothing
but the document of a node whose boot has begun here and whose install has not ended.
"""

from __future__ import annotations

import hmac
import logging
import re

from aiohttp import web

from ..boot.actions import Action
from ..boot.fleet import Fleet, Node
from ..boot.lifecycle import MAY_INSTALL, Kind, State
from ..boot.site import Medium
from ..cloudconfig.for_node import document_for
from ..errors import InvalidValue, NetbootError
from ..store.boots import Started
from ..values import Mac, Stage
from .keys import BOOTS, INDEX, RUNNING, urls_of
from .nodes import refuse, send_document
from .running import Run

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

_UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4}-[0-9a-f]{12})")
# One and the same for a wrong key and an unknown machine: whoever tries learns nothing.
_NOTHING = "no machine of this name is installed with this key"


@routes.get("/documents/{key}/{machine}/cloud-config.yaml")
async def keyed_document(request: web.Request) -> web.Response:
    """The document of the machine with this MAC or UUID. Never an error, as documents by token."""
    index, key = request.app[INDEX], request.match_info["key"]
    node = find_machine(index.fleet, request.match_info["machine"])
    if node is None or not _opens(index.fleet, node, key):
        return refuse(request, None, _NOTHING)
    if node.state not in MAY_INSTALL:
        return refuse(request, node, f"{node.name} is {node.state}, not being installed")
    if node.state is State.ARMED:
        return refuse(request, node, f"{node.name} has not started its image from here yet")
    try:
        token = await _report_token(request, node)
        built = document_for(index.fleet, node, urls_of(request), token, Action.INSTALL)
    except NetbootError as error:
        return refuse(request, node, str(error))
    if request.method == "GET":
        index.note(node, Kind.DOCUMENT, "fetched its cloud-config by its key")
    return send_document(built.text)


def find_machine(fleet: Fleet, text: str) -> Node | None:
    """By MAC, or by UUID as the firmware has it and as some of it sends it in DHCP: with the bytes
    of the first three groups the other way round."""
    try:
        return fleet.by_mac.get(Mac(text))
    except InvalidValue:
        match = _UUID.fullmatch(text.lower())
    if match is None:
        return None
    turned = [bytes.fromhex(group)[::-1].hex() for group in match.groups()[:3]]
    either = (match[0], "-".join([*turned, match[4]]))
    found = [node for node in fleet.nodes if node.facts.get("uuid") in either]
    # Whole batches of mainboards share one UUID: then it is nobody's.
    return found[0] if len(found) == 1 else None


def _opens(fleet: Fleet, node: Node, key: str) -> bool:
    profile = fleet.profiles.get(node.spec.profile) if node.spec else None
    if profile is None or not profile.documents_opened_by:
        return False
    return hmac.compare_digest(profile.documents_opened_by.encode(), key.encode())


async def _report_token(request: web.Request, node: Node) -> str:
    """Of the boot that the machine is in. A server that was started since then has forgotten it:
    the boot counts anew, or its reports would go nowhere and its disk be installed for ever."""
    index, mac = request.app[INDEX], node.macs[0]
    for known in node.macs:
        run = request.app[RUNNING].of(known, index.fleet)
        if run and run.started.plan:
            return run.started.plan.report_token
    started = await _begin(request, node, mac)
    request.app[RUNNING].keep(mac, Run(started=started))
    assert started.plan is not None
    return started.plan.report_token


async def _begin(request: web.Request, node: Node, mac: Mac) -> Started:
    image = request.app[BOOTS].look(mac).image
    if image is None or not isinstance(image.files, Medium):
        raise InvalidValue(f"{node.name} boots no image of its own: its document has a token")
    started = await request.app[BOOTS].start(mac, urls_of(request), Stage.HTTP)
    if started.plan is None:
        raise InvalidValue(started.decision.reason)
    return started
