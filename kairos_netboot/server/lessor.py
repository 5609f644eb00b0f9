"""The DHCP server: requests in, leases kept, answers out. `dhcp/leases.py` decides.

A lease is on the disk before it is acknowledged; an offer is only remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from ..boot.fleet import Fleet
from ..boot.network import DhcpOptions, Subnet
from ..boot.respond import Asked
from ..dhcp.answer import Reply
from ..dhcp.lease_reply import Told, lease_reply
from ..dhcp.leasebook import Book, Hold, Lease, Pool
from ..dhcp.leases import (
    Question,
    Ruling,
    rule,
    set_aside,
)
from ..dhcp.packet import MessageType
from ..dhcp.relayed import identifier_of, link_of
from ..errors import StoreProblem

log = logging.getLogger(__name__)

DEFAULT_SECONDS = 12 * 3600
# How many addresses are tried for one client before it has to ask again.
_TRIES = 4

Keep = Callable[[Sequence[Lease]], Awaitable[None]]
IsUsed = Callable[[IPv4Address, str], Awaitable[bool]]


class Lessor:
    """`keep` writes leases; `is_used` tells whether somebody answers at an address, given the
    interface, or none for one behind a relay; `clock` is the time in seconds since 1970."""

    def __init__(
        self,
        leases: Iterable[Lease],
        *,
        keep: Keep,
        is_used: IsUsed,
        clock: Callable[[], int],
    ) -> None:
        self._book = Book(leases)
        self._keep, self._is_used, self._clock = keep, is_used, clock

    async def answer(self, asked: Asked, fleet: Fleet) -> tuple[Reply | None, str]:
        """(None for silence, the reason in a sentence's words)."""
        request = asked.request
        link = link_of(request, asked.server)
        subnet = fleet.dhcp.subnet_of(link)
        if subnet is None:
            return None, f"{link} is in none of the site's `dhcp.subnets`"
        question = self._question(asked, fleet, subnet)
        ruling = await self._ruled(question, asked, fleet)
        await self._note(ruling)
        if ruling.kind is None:
            return None, ruling.reason
        return self._reply(question, ruling, subnet, asked, fleet), ruling.reason

    def _question(self, asked: Asked, fleet: Fleet, subnet: Subnet) -> Question:
        mac = asked.request.mac
        node = fleet.by_mac.get(mac) if mac else None
        own = node.spec.address if node and node.spec else None
        reserved = {n.spec.address for n in fleet.nodes if n.spec and n.spec.address}
        seconds = _options(fleet, asked, subnet).lease_seconds or DEFAULT_SECONDS
        return Question(
            request=asked.request,
            pool=Pool(network=subnet.network, ranges=subnet.ranges, seconds=seconds),
            server=identifier_of(asked.request, asked.server),
            now=self._clock(),
            reserved=own if own is not None and own in subnet.network else None,
            # Our own address is in no lease, whatever the ranges say.
            taken=(reserved - {own}) | {asked.server} | set(subnet.options.routers),
        )

    async def _ruled(self, question: Question, asked: Asked, fleet: Fleet) -> Ruling:
        """An address that somebody uses is set aside, and another one is taken."""
        near = asked.server in question.pool.network and not int(asked.request.relay)
        for _ in range(_TRIES):
            ruling = rule(question, self._book)
            lease = ruling.lease
            if not ruling.try_first or lease is None or not fleet.dhcp.check_address:
                return ruling
            self._book.put(lease)  # nobody else is offered it meanwhile
            if not await self._is_used(lease.address, asked.interface if near else ""):
                return ruling
            log.warning("%s is in use by somebody without a lease: set aside", lease.address)
            await self._note(Ruling(reason="", lease=set_aside(lease, self._clock())))
        return Ruling(reason=f"the {_TRIES} addresses that were tried are all in use")

    async def _note(self, ruling: Ruling) -> None:
        """Raises StoreProblem: then the client gets no answer, and asks again."""
        lease = ruling.lease
        if lease is None:
            return
        before = self._book.at(lease.address)
        self._book.put(lease)
        if lease.hold is Hold.OFFERED or lease == before:
            return
        try:
            await self._keep([lease])
        except StoreProblem:
            if before is not None:
                self._book.put(before)
            raise

    def _reply(
        self, question: Question, ruling: Ruling, subnet: Subnet, asked: Asked, fleet: Fleet
    ) -> Reply:
        kind = ruling.kind
        assert kind is not None
        lease = ruling.lease
        told = None
        if kind is not MessageType.NAK:
            told = _told(fleet, asked, subnet, question.pool.seconds if lease else None)
        return lease_reply(
            asked.request,
            kind,
            address=lease.address if lease else IPv4Address(0),
            server=question.server,
            told=told,
        )


def _options(fleet: Fleet, asked: Asked, subnet: Subnet) -> DhcpOptions:
    """The node's own, else its subnet's, option by option."""
    mac = asked.request.mac
    node = fleet.by_mac.get(mac) if mac else None
    own, general = node.spec.dhcp if node and node.spec else DhcpOptions(), subnet.options
    return DhcpOptions(
        routers=own.routers or general.routers,
        dns=own.dns or general.dns,
        ntp=own.ntp or general.ntp,
        domain=own.domain or general.domain,
        mtu=own.mtu or general.mtu,
        routes={**general.routes, **own.routes},
        lease_seconds=own.lease_seconds or general.lease_seconds,
    )


def _told(fleet: Fleet, asked: Asked, subnet: Subnet, seconds: int | None) -> Told:
    options = _options(fleet, asked, subnet)
    mac = asked.request.mac
    node = fleet.by_mac.get(mac) if mac else None
    return Told(
        network=subnet.network,
        seconds=seconds,
        routers=options.routers,
        dns=options.dns,
        ntp=options.ntp,
        domain=options.domain,
        host_name=node.spec.name.partition(".")[0] if node and node.spec else "",
        mtu=options.mtu,
        routes=options.routes,
    )


class Keeper:
    """Writes leases, those that come while one is being written in one transaction."""

    def __init__(self, write: Keep) -> None:
        self._write = write
        self._turn = asyncio.Lock()
        self._next: _Batch | None = None

    async def keep(self, leases: Sequence[Lease]) -> None:
        """Returns when they are on the disk; raises StoreProblem."""
        batch = self._next
        if batch is None:
            batch = self._next = _Batch()
            batch.leases += leases
            await self._try(batch)
        else:
            batch.leases += leases
            # Not the lock: it would wake one of them in each round of the event loop.
            await batch.tried.wait()
        if batch.error is not None:
            raise batch.error

    async def _try(self, batch: _Batch) -> None:
        async with self._turn:
            self._next = None
            try:
                await self._write(batch.leases)
            except StoreProblem as error:
                batch.error = error
            finally:
                batch.tried.set()


@dataclass(slots=True)
class _Batch:
    leases: list[Lease] = field(default_factory=list)
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    error: StoreProblem | None = None
