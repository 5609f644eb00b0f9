"""What a cluster's first server tells of how to join it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from aiohttp import web

from ..boot.lifecycle import Kind
from ..boot.tokens import key_of
from ..errors import InvalidValue
from ..store.joins import Refused, take_join
from ..store.store import Store
from .keys import INDEX

log = logging.getLogger(__name__)
routes = web.RouteTableDef()


@routes.post(r"/reports/{token}/join/{what:[a-z-]{1,20}}")
async def join(request: web.Request) -> web.Response:
    """Answered when it is on the disk. The token is never logged, nor on a timeline."""
    index, key = request.app[INDEX], key_of(request.match_info["token"])
    what, value = request.match_info["what"], (await request.post()).get("token")
    if not isinstance(value, str):
        raise InvalidValue("no join token: post it as the field `token`")

    def take(store: Store) -> bool:
        with store.writing() as connection:
            return take_join(connection, key, what, value.strip(), datetime.now(UTC))

    try:
        is_new = await index.ask(take)
    except Refused as refused:
        node = index.fleet.by_report_key(key)
        if node is not None:
            text = f"told another join token ({what}) than before: refused"
            index.note(node, Kind.REFUSED, text)
        log.warning("%s", refused)
        raise
    if is_new:
        await index.load()
    return web.Response(text="ok\n")
