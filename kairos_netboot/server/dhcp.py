"""The DHCP shell: datagrams in, an answer decided elsewhere, datagrams out. One for each port."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface

from ..boot.fleet import Fleet
from ..boot.respond import Asked, Response
from ..dhcp import packet
from ..dhcp.answer import Reply, Service
from ..dhcp.client import recognise
from ..dhcp.options import Option
from ..dhcp.packet import Op, Packet
from ..errors import NetbootError
from . import udp
from .addresses import Addresses
from .quiet import Quiet
from .udp import Datagram
from .wire import Wire

log = logging.getLogger(__name__)

# Answers under way at once: each may wait a second for an address to be tried.
_AT_ONCE = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpSettings:
    """`advertise`: our address where the interface's own is not the one to reach us by.
    `interfaces`: the only ones answered; empty for all."""

    http_port: int
    advertise: IPv4Address | None = None
    interfaces: frozenset[str] = frozenset()
    addresses: Addresses = field(default_factory=Addresses)


Answer = Callable[[Asked], Awaitable[Response | None]]
Heard = Callable[[Asked, Response], None]


async def serve_dhcp(
    wire: Wire,
    service: Service,
    settings: DhcpSettings,
    fleet: Callable[[], Fleet],
    answer: Answer,
    heard: Heard,
) -> None:
    """Answer until cancelled; `heard` is told of every request and what came of it. The caller
    closes the wire."""
    quiet = Quiet(log)
    server = _Server(wire=wire, answer=answer, heard=heard, quiet=quiet)
    async with asyncio.TaskGroup() as answers:
        async for datagram in wire.arrivals():
            try:
                found = _asked(service, settings, fleet(), datagram, quiet)
            except NetbootError as error:
                log.debug("datagram from %s ignored: %s", datagram.source[0], error)
                continue
            if found is not None and server.begins(found[0]):
                answers.create_task(server.isolated(*found))


@dataclass(slots=True, kw_only=True)
class _Server:
    """What all requests share: who is being answered, and the way out."""

    wire: Wire
    answer: Answer
    heard: Heard
    quiet: Quiet
    under_way: set[tuple[object, ...]] = field(default_factory=set)

    def begins(self, asked: Asked) -> bool:
        """False for a repeat of what is being answered, and where there is too much of it: a
        client asks again until somebody answers."""
        if _key(asked) in self.under_way:
            return False
        if len(self.under_way) >= _AT_ONCE:
            sentence = f"{_AT_ONCE} DHCP answers are under way: one more is dropped"
            self.quiet.warning("under way", sentence)
            return False
        self.under_way.add(_key(asked))
        return True

    async def isolated(self, asked: Asked, datagram: Datagram) -> None:
        """A client's crash is not the server's: without this its task group would end them all."""
        who = asked.request.mac or asked.source[0]
        try:
            await self._serve(asked, datagram)
        except NetbootError as error:
            self.quiet.warning(str(error), f"no DHCP answer to {who}: {error}")
        except OSError as error:
            sentence = f"no DHCP answer to {who} by {self.wire.where}: {error}"
            self.quiet.warning(str(error), sentence)
        except Exception:
            log.exception("a DHCP request of %s failed", who)
        finally:
            self.under_way.discard(_key(asked))

    async def _serve(self, asked: Asked, datagram: Datagram) -> None:
        response = await self.answer(asked)
        if response is None:
            return
        if response.reply is not None:
            self._send(response.reply, asked, datagram)
        self.heard(asked, response)

    def _send(self, reply: Reply, asked: Asked, datagram: Datagram) -> None:
        data = packet.encode(reply.packet, room=packet.room_for(asked.request))
        self.wire.send(data, reply.destination, via=datagram, hardware=reply.hardware)


def _key(asked: Asked) -> tuple[object, ...]:
    request = asked.request
    sender = request.hardware_address, request.relay, asked.interface
    return *sender, request.xid, request.message_type


def _asked(
    service: Service, settings: DhcpSettings, fleet: Fleet, datagram: Datagram, quiet: Quiet
) -> tuple[Asked, Datagram] | None:
    """The request, and the datagram with the address that answers it; raises MalformedPacket."""
    interface = udp.interface_name(datagram.interface)
    if settings.interfaces and interface not in settings.interfaces:
        return None
    request = packet.decode(datagram.data)
    if request.op is not Op.REQUEST:
        return None  # an answer on its way to a relay of this host
    if datagram.broadcast:
        own = settings.addresses.of(datagram.interface)
        local = fitting(own, request, fleet) or IPv4Address(datagram.local)
        datagram = replace(datagram, local=str(local))
    client = recognise(request)
    server = settings.advertise or IPv4Address(datagram.local)
    if not int(server):
        sentence = f"DHCP on {interface}, which has no address: give it one, or --advertise"
        if client:
            quiet.warning(interface, sentence)
        return None
    asked = Asked(
        request=request,
        client=client,
        service=service,
        source=datagram.source,
        server=server,
        http_port=settings.http_port,
        interface=interface,
        broadcast_on=IPv4Address(datagram.local) if datagram.broadcast else None,
    )
    return asked, datagram


def fitting(own: Sequence[IPv4Interface], request: Packet, fleet: Fleet) -> IPv4Address | None:
    """Which of an interface's addresses answers a broadcast: the one that was chosen from our
    offer, one in the client's network, one in a network we serve, the primary one."""
    chosen = request.options.get(Option.SERVER_IDENTIFIER)
    for address in own:
        if address.ip.packed == chosen:
            return address.ip
    for there in _clues(request, fleet):
        if near := [address for address in own if there in address.network]:
            return max(near, key=lambda address: address.network.prefixlen).ip
    served = (address.ip for address in own if fleet.dhcp.subnet_of(address.ip))
    return next(served, own[0].ip if own else None)


def _clues(request: Packet, fleet: Fleet) -> Iterator[IPv4Address]:
    """Addresses of the network that the client is in, or will be, the surest first."""
    yield request.relay
    yield request.client_address
    node = fleet.by_mac.get(request.mac) if request.mac else None
    if node and node.spec and node.spec.address:
        yield node.spec.address
    wanted = request.options.get(Option.REQUESTED_ADDRESS, b"")
    if len(wanted) == 4:
        yield IPv4Address(wanted)
