"""Machines that ask for a log server are told that we are one (RFC 2132, 3.9). iPXE does ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from ..boot.respond import Asked, Response
from ..dhcp.options import Option
from ..dhcp.packet import MessageType

Answer: TypeAlias = Callable[[Asked], Awaitable[Response | None]]

_LOG_SERVERS = 7
_TELLS = (MessageType.OFFER, MessageType.ACK)
# The one port that a log server is asked at: option 7 has no room for another.
SYSLOG_PORT = 514


def naming_log_server(answer: Answer) -> Answer:
    """The same answers, with our address where it was asked for."""

    async def answered(asked: Asked) -> Response | None:
        response = await answer(asked)
        return with_log_server(asked, response) if response is not None else None

    return answered


def with_log_server(asked: Asked, response: Response) -> Response:
    reply = response.reply
    wanted = asked.request.options.get(Option.PARAMETERS, b"")
    if reply is None or _LOG_SERVERS not in wanted or reply.packet.message_type not in _TELLS:
        return response
    options = {_LOG_SERVERS: asked.server.packed, **reply.packet.options}
    # RFC 3046: option 82 is the last.
    if Option.RELAY_AGENT in options:
        options[Option.RELAY_AGENT] = options.pop(Option.RELAY_AGENT)
    return replace(response, reply=replace(reply, packet=replace(reply.packet, options=options)))
