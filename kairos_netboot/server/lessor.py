"""The DHCP server: requests in, leases kept, answers out. `dhcp/leases.py` decides.

A lease is on the disk before it is acknowledged; an offer is only remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from ..boot.fleet import Fleet, Node
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
from .quiet import Quiet

log = logging.getLogger(__name__)

DEFAULT_SECONDS = 12 * 3600
_ETHERNET = b"\x01"
# How many addresses are tried for one client before it has to ask again.
_TRIES = 4

Keep = Callable[[Sequence[Lease]], Awaitable[None]]
IsUsed = Callable[[IPv4Address, str, bytes], Awaitable[bool]]
# One warning of a kind in this time.
_QUIET_SECONDS = 600


class Lessor:
    """`keep` writes leases; `is_used` tells whether somebody but a client answers at an address,
    given the interface (none for one behind a relay) and the client's card; `is_ours`: whether an
    address is this host's; `clock` is the time in seconds since 1970."""

    def __init__(
        self,
        leases: Iterable[Lease],
        *,
        keep: Keep,
        is_used: IsUsed,
        clock: Callable[[], int],
        is_ours: Callable[[IPv4Address], bool] = lambda _: False,
    ) -> None:
        self._book = Book(leases)
        self._keep, self._is_used, self._clock, self._is_ours = keep, is_used, clock, is_ours
        self._tries: dict[IPv4Address, asyncio.Future[bool]] = {}
        self._reserved: tuple[Fleet, frozenset[IPv4Address]] = (Fleet(), frozenset())
        self._quiet = Quiet(log, seconds=_QUIET_SECONDS, each=1, clock=clock)

    def lease_at(self, address: IPv4Address) -> Lease | None:
        return self._book.at(address)

    async def answer(self, asked: Asked, fleet: Fleet) -> tuple[Reply | None, str]:
        """(None for silence, the reason in a sentence's words)."""
        request = asked.request
        link = link_of(request, asked.server, asked.broadcast_on)
        subnet = fleet.dhcp.subnet_of(link)
        if subnet is None:
            reason = f"{link} is in none of the site's `dhcp.subnets`"
            self._quiet.warning(reason, f"DHCP of {request.mac}: no answer: {reason}")
            return None, reason
        question = self._question(asked, fleet, subnet)
        ruling = await self._ruled(question, asked, fleet)
        await self._note(ruling.lease)
        if ruling.alarm:
            self._quiet.warning(ruling.reason, f"DHCP of {request.mac}: {ruling.reason}")
        if ruling.kind is None:
            return None, ruling.reason
        return self._reply(question, ruling, subnet, asked, fleet), ruling.reason

    def _question(self, asked: Asked, fleet: Fleet, subnet: Subnet) -> Question:
        node = _node(fleet, asked)
        reserved = self._reserved_in(fleet)
        routers = subnet.options.routers

        def taken(address: IPv4Address) -> bool:
            """Our own address is in no lease, whatever the ranges say."""
            if address in reserved or address in routers:
                return True
            return address == asked.server or self._is_ours(address)

        own = self._address_of(node, asked)
        return Question(
            request=asked.request,
            pool=Pool(
                network=subnet.network,
                ranges=subnet.ranges,
                seconds=_options(fleet, asked, subnet).lease_seconds or DEFAULT_SECONDS,
            ),
            server=identifier_of(asked.request, asked.server),
            now=self._clock(),
            reserved=own if own is not None and own in subnet.network else None,
            cards=[_ETHERNET + bytes.fromhex(mac.replace(":", "")) for mac in node.macs]
            if node
            else (),
            taken=taken,
        )

    def _address_of(self, node: Node | None, asked: Asked) -> IPv4Address | None:
        """The one that the site file keeps for a node; not where it is ours: no try finds us."""
        own = node.spec.address if node and node.spec else None
        if own is None or not (own == asked.server or self._is_ours(own)):
            return own
        assert node is not None
        sentence = f"{own}, which is kept for {node.name}, is this server's own address"
        self._quiet.warning(sentence, sentence)
        return None

    def _reserved_in(self, fleet: Fleet) -> frozenset[IPv4Address]:
        """Looked through once for each fleet, which is replaced whole."""
        if self._reserved[0] is not fleet:
            found = (node.spec.address for node in fleet.nodes if node.spec)
            self._reserved = fleet, frozenset(address for address in found if address)
        return self._reserved[1]

    async def _ruled(self, question: Question, asked: Asked, fleet: Fleet) -> Ruling:
        """An address that somebody uses is set aside, and another one is taken."""
        near = (asked.broadcast_on or asked.server) in question.pool.network and not int(
            asked.request.relay
        )
        for _ in range(_TRIES):
            ruling = rule(question, self._book)
            lease = ruling.lease
            if lease is None or not fleet.dhcp.check_address:
                return ruling
            if not ruling.try_first and lease.address not in self._tries:
                return ruling
            before = self._book.at(lease.address)
            if ruling.try_first:
                self._book.put(lease)  # nobody else is offered it meanwhile
            used = await self._is_in_use(lease, asked.interface if near else "")
            if not used and self._book.at(lease.address) == lease:
                return ruling
            if used:
                question = await self._without(question, lease, before)
        return Ruling(
            reason=f"the {_TRIES} addresses that were tried are all in use: do the `ranges` of"
            f" {question.pool.network} hold addresses that were given by hand?",
            alarm=True,
        )

    async def _is_in_use(self, lease: Lease, interface: str) -> bool:
        """Two requests for one address wait for the same try."""
        under_way = self._tries.get(lease.address)
        if under_way is not None:
            return await asyncio.shield(under_way)
        self._tries[lease.address] = under_way = asyncio.get_running_loop().create_future()
        used = True
        try:
            used = await self._is_used(lease.address, interface, lease.hardware[1:])
        finally:
            del self._tries[lease.address]
            if not under_way.done():
                under_way.set_result(used)
        return used

    async def _without(self, question: Question, lease: Lease, before: Lease | None) -> Question:
        """The question anew, when somebody was found at its address."""
        if before is not None and before.is_live(question.now) and _is_sibling(before, lease):
            self._book.put(before)  # another card of this node, which is running
            return replace(question, reserved=None)
        if self._book.at(lease.address) == lease:
            sentence = f"{lease.address} is in use by somebody without a lease: set aside"
            self._quiet.warning(sentence, sentence)
            await self._note(set_aside(lease, self._clock()))
        return question

    async def _note(self, lease: Lease | None) -> None:
        """Raises StoreProblem: then the client gets no answer, and asks again."""
        if lease is None:
            return
        before = self._book.at(lease.address)
        self._book.put(lease)
        if lease.hold is Hold.OFFERED or lease == before:
            return
        try:
            await self._keep([lease])
        except StoreProblem:
            if self._book.at(lease.address) == lease:
                self._book.put(before or replace(lease, ends=self._clock()))
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


def _is_sibling(before: Lease, lease: Lease) -> bool:
    """A live lease is only tried where another card of the same node has it."""
    return before.hold is not Hold.DECLINED and before.hardware != lease.hardware


def _node(fleet: Fleet, asked: Asked) -> Node | None:
    mac = asked.request.mac
    return fleet.by_mac.get(mac) if mac else None


def _options(fleet: Fleet, asked: Asked, subnet: Subnet) -> DhcpOptions:
    """The node's own, else its subnet's, option by option."""
    node = _node(fleet, asked)
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
    options, node = _options(fleet, asked, subnet), _node(fleet, asked)
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
