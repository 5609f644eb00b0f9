"""The DHCPv6 shell: datagrams in, `respond6`, datagrams out. One socket on 547, one on 4011."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from ..boot.fleet import Fleet
from ..boot.respond6 import Asked6, Response6, client_of, respond6
from ..dhcp import v6
from ..dhcp.answer import Service
from ..dhcp.v6client import identify, is_netboot
from ..errors import NetbootError
from ..values import Mac
from . import router6, udp, udp6
from .router6 import Routers

log = logging.getLogger(__name__)

_REMEMBERED = 4096
_NO_ADDRESS = (
    "DHCPv6 boot request on {}, where we have a link-local address only: give it a global or "
    "unique local one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dhcp6Settings:
    """`loaders`: the boot loaders that are here. `advertise`: our address where the interface's
    own is not the one to reach us by. `interfaces`: the only ones answered; empty for all."""

    loaders: Container[str]
    http_port: int
    duid: bytes
    advertise: IPv6Address | None = None
    interfaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets6:
    """`routers` is None where this user may not listen to them: no address is lent then."""

    dhcp: socket.socket
    pxe: socket.socket
    routers: socket.socket | None


Heard6 = Callable[[Asked6, Response6], None]


@contextmanager
def bind6(address: str, *, dhcp_port: int, pxe_port: int) -> Iterator[Sockets6]:
    """All of them, or CannotServe naming the port and what to do."""
    with ExitStack() as stack:
        routers = router6.open_socket()
        yield Sockets6(
            dhcp=stack.enter_context(udp6.bind(address, dhcp_port, option="--dhcp6-port")),
            pxe=stack.enter_context(udp6.bind(address, pxe_port, option="--pxe-port")),
            routers=stack.enter_context(routers) if routers is not None else None,
        )


async def serve_dhcp6(
    sockets: Sockets6, settings: Dhcp6Settings, fleet: Callable[[], Fleet], heard: Heard6
) -> None:
    """Answer until cancelled; `heard` is told of every request and what came of it."""
    shell = _Shell(settings=settings, fleet=fleet, heard=heard)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_joined(sockets, settings.interfaces))
        if sockets.routers is not None:
            group.create_task(router6.hear_routers(sockets.routers, shell.routers))
        group.create_task(shell.serve(sockets.dhcp, Service.PROXY))
        group.create_task(shell.serve(sockets.pxe, Service.BOOT_SERVER))


async def _keep_joined(sockets: Sockets6, only: frozenset[str]) -> None:
    """Be in the servers' group on interfaces as they come, and know their routers."""
    async with asyncio.TaskGroup() as group:
        async for interfaces in udp6.joined(sockets.dhcp, only):
            if sockets.routers is not None:
                group.create_task(router6.solicit(sockets.routers, interfaces))


@dataclass(slots=True, kw_only=True)
class _Shell:
    """What both sockets share. `cards`: of DUIDs heard before, as EDK2's second request comes
    from the address it was given and names its machine by UUID alone."""

    settings: Dhcp6Settings
    fleet: Callable[[], Fleet]
    heard: Heard6
    routers: Routers = field(default_factory=Routers)
    cards: OrderedDict[bytes, Mac] = field(default_factory=OrderedDict)

    async def serve(self, sock: socket.socket, service: Service) -> None:
        async for datagram in udp6.arrivals(sock):
            try:
                self._handle(sock, service, datagram)
            except NetbootError as error:
                log.debug("datagram from %s ignored: %s", datagram.source, error)
            except OSError as error:
                log.warning("no answer to %s on port %d: %s", datagram.source, service, error)

    def _handle(self, sock: socket.socket, service: Service, datagram: udp.Datagram) -> None:
        fleet = self.fleet()
        asked = self._asked(service, datagram, fleet)
        if asked is None:
            return
        response = respond6(asked, fleet, self.settings.loaders)
        if response is None:
            return
        if response.reply is not None:
            udp6.send(sock, v6.encode(response.reply), response.destination, via=datagram)
        if response.decision is not None or response.reply is None:
            self.heard(asked, response)

    def _asked(self, service: Service, datagram: udp.Datagram, fleet: Fleet) -> Asked6 | None:
        interface = udp.interface_name(datagram.interface)
        if self.settings.interfaces and interface not in self.settings.interfaces:
            return None
        request, relays = v6.unwrap(v6.decode(datagram.data))
        server = self._server(datagram)
        if server is None:
            if is_netboot(request):
                log.warning("%s", _NO_ADDRESS.format(interface))
            return None
        identity = identify(request, relays, IPv6Address(datagram.source[0]))
        if identity.mac is not None and is_netboot(request):
            self._remember(identity.duid, identity.mac)
        return Asked6(
            request=request,
            relays=relays,
            identity=identity,
            client=client_of(request, identity, fleet, self.cards),
            service=service,
            source=datagram.source,
            server=server,
            duid=self.settings.duid,
            http_port=self.settings.http_port,
            interface=interface,
            prefix=self.routers.lendable(datagram.interface, _now()),
        )

    def _server(self, datagram: udp.Datagram) -> IPv6Address | None:
        """Our address for the machine's next requests."""
        if self.settings.advertise is not None:
            return self.settings.advertise
        local = IPv6Address(datagram.local)
        if not local.is_multicast and not local.is_link_local:
            return local
        networks = self.routers.networks(datagram.interface, _now())
        return udp6.own_address(datagram.interface, networks)

    def _remember(self, duid: bytes, mac: Mac) -> None:
        self.cards[duid] = mac
        self.cards.move_to_end(duid)
        if len(self.cards) > _REMEMBERED:
            self.cards.popitem(last=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
