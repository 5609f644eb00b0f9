"""What answers on each socket, put together."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..boot.fleet import Fleet
from ..boot.network import DhcpMode
from ..boot.script import Scripts
from ..boot.urls import Urls
from ..config.settings import ServeSettings
from ..dhcp.answer import Service
from ..dhcp.leasebook import Lease
from ..dhcp.recipe import Recipes
from ..dhcp.v6answer import server_duid
from ..server.addresses import Addresses
from ..server.borrower import Borrower
from ..server.cards import card_at
from ..server.dhcp import DhcpSettings, serve_dhcp
from ..server.dhcp6 import Dhcp6Settings, serve_dhcp6
from ..server.journal import Journal
from ..server.lessor import Keeper, Lessor
from ..server.neighbours import mac_at
from ..server.syslog import Syslog, serve_syslog
from ..server.tftp import serve_tftp
from ..server.tree import Tree
from ..server.udp6 import arrivals as arrivals6
from ..server.udp6 import own_seed
from ..store.boots import Boots
from ..store.index import Index
from ..store.overdue import watch_for_silence
from ..store.store import Store
from ..web.webhooks import Hooks
from .answers import Answers
from .log_server import SYSLOG_PORT, Answer, naming_log_server
from .sockets import Sockets

Work = Coroutine[None, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What comes with the program or the system, in memory before root is given away. `names`:
    all first files that can be handed out."""

    recipes: Recipes
    scripts: Scripts
    loaders: Mapping[str, bytes]
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: ServeSettings
    sockets: Sockets
    shipped: Shipped
    store: Store
    index: Index
    boots: Boots
    mode: DhcpMode
    leases: tuple[Lease, ...]

    def run(self) -> Iterator[Work]:
        """Each to be run until the end."""
        journal, lessor = Journal(self.index), self._lessor()
        yield from self._dhcp(journal, lessor)
        yield from self._dhcp6(journal)
        yield from self._tftp(journal)
        yield from self._syslog(lessor)
        yield watch_for_silence(self.index)
        yield Hooks(self.index).run()

    def _dhcp(self, journal: Journal, lessor: Lessor) -> Iterator[Work]:
        settings = DhcpSettings(
            http_port=self.sockets.http_port,
            advertise=self.settings.advertise,
            interfaces=self.settings.interfaces,
        )
        borrower = Borrower(self.sockets.offers) if self.sockets.offers else None
        answer: Answer = self._answers(borrower, lessor).answer
        if self._takes_logs:
            answer = naming_log_server(answer)
        if borrower is not None:
            yield borrower.run()
        if self.sockets.probe is not None:
            yield self.sockets.probe.run()
        wires = ((self.sockets.dhcp, Service.PROXY), (self.sockets.pxe, Service.BOOT_SERVER))
        for wire, service in wires:
            if wire is not None:
                fleet, heard = self._fleet, journal.heard
                yield serve_dhcp(wire, service, settings, fleet, answer, heard)

    def _fleet(self) -> Fleet:
        return self.index.fleet

    @property
    def _takes_logs(self) -> bool:
        """Where those that know one port alone send them."""
        sock = self.sockets.syslog
        return sock is not None and sock.getsockname()[1] == SYSLOG_PORT

    def _syslog(self, lessor: Lessor) -> Iterator[Work]:
        if self.sockets.syslog is None:
            return
        if self._takes_logs:
            self.shipped.scripts.send_logs()
        syslog = Syslog(
            self.index, lambda source: card_at(source, lessor.lease_at, int(time.time()))
        )
        yield syslog.run()
        yield serve_syslog(self.sockets.syslog, syslog)

    def _lessor(self) -> Lessor:
        probe = self.sockets.probe
        keeper = Keeper(self.index.keep_leases)
        return Lessor(
            self.leases,
            keep=keeper.keep,
            is_used=probe.is_used if probe is not None else _nobody_asks,
            clock=lambda: int(time.time()),
            is_ours=Addresses().are_ours,
        )

    def _answers(self, borrower: Borrower | None, lessor: Lessor) -> Answers:
        return Answers(
            fleet=self._fleet,
            recipes=self.shipped.recipes,
            loaders=self.shipped.names,
            lessor=lessor,
            borrower=borrower,
            mode=self.mode,
            met=self.index.met,
        )

    def _dhcp6(self, journal: Journal) -> Iterator[Work]:
        if self.sockets.dhcp6 is None:
            return
        settings = Dhcp6Settings(
            loaders=self.shipped.names,
            http_port=self.sockets.http_port,
            duid=server_duid(own_seed()),
            interfaces=self.settings.interfaces,
        )
        yield serve_dhcp6(self.sockets.dhcp6, settings, self._fleet, journal.heard6)

    def _tftp(self, journal: Journal) -> Iterator[Work]:
        tree = Tree(
            loaders=self.shipped.loaders,
            scripts=self.shipped.scripts,
            index=self.index,
            boots=self.boots,
            blobs=self.store.blobs,
            urls=self._urls,
            mac_at=mac_at,
        )
        if self.sockets.tftp is not None:
            yield serve_tftp(self.sockets.tftp, tree.lookup, journal.transferred)
        if self.sockets.tftp6 is not None:
            yield serve_tftp(
                self.sockets.tftp6, tree.lookup, journal.transferred, arrivals=arrivals6
            )

    def _urls(self, local: str) -> Urls:
        """By HTTP, of the address that a machine asked by TFTP."""
        if ":" in local:
            return Urls(f"http://[{local}]:{self.sockets.http_port}")
        return Urls(f"http://{self.settings.advertise or local}:{self.sockets.http_port}")


async def _nobody_asks(address: IPv4Address, interface: str, client: bytes) -> bool:
    """Without the right for packet sockets no address can be tried."""
    return False
