"""The DHCP shell: datagrams in, `respond`, datagrams out. One socket on 67, one on 4011."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..boot.fleet import Fleet
from ..boot.respond import Asked, Response, respond
from ..dhcp import packet
from ..dhcp.answer import Service
from ..dhcp.client import recognise
from ..dhcp.recipe import Recipes
from ..errors import NetbootError
from . import udp

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpSettings:
    """`advertise`: our address where the interface's own is not the one to reach us by.
    `interfaces`: the only ones answered; empty for all."""

    recipes: Recipes
    http_port: int
    advertise: IPv4Address | None = None
    interfaces: frozenset[str] = frozenset()


Heard = Callable[[Asked, Response], None]


async def serve_dhcp(
    sock: socket.socket,
    service: Service,
    settings: DhcpSettings,
    fleet: Callable[[], Fleet],
    heard: Heard,
) -> None:
    """Answer until cancelled; `heard` is told of every request and what came of it."""
    async for datagram in udp.arrivals(sock):
        try:
            _handle(sock, service, settings, fleet(), heard, datagram)
        except NetbootError as error:
            log.debug("datagram from %s ignored: %s", datagram.source, error)
        except OSError as error:
            log.warning("no answer to %s on port %d: %s", datagram.source, service, error)


def _handle(
    sock: socket.socket,
    service: Service,
    settings: DhcpSettings,
    fleet: Fleet,
    heard: Heard,
    datagram: udp.Datagram,
) -> None:
    asked = _asked(service, settings, datagram)
    if asked is None:
        return
    response = respond(asked, fleet, settings.recipes)
    if response is None:
        return
    if response.reply is not None:
        udp.send(
            sock,
            packet.encode(response.reply.packet),
            response.reply.destination,
            via=datagram,
        )
    heard(asked, response)


def _asked(service: Service, settings: DhcpSettings, datagram: udp.Datagram) -> Asked | None:
    interface = udp.interface_name(datagram.interface)
    if settings.interfaces and interface not in settings.interfaces:
        return None
    request = packet.decode(datagram.data)
    client = recognise(request)
    server = settings.advertise or IPv4Address(datagram.local)
    if client is None:
        log.debug("DHCP of %s on %s is no network boot", request.mac, interface)
        return None
    if not int(server):
        log.warning("DHCP on %s, which has no address: give it one, or --advertise", interface)
        return None
    return Asked(
        request=request,
        client=client,
        service=service,
        source=datagram.source,
        server=server,
        http_port=settings.http_port,
    )
