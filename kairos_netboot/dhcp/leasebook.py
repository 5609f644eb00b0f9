"""Leases: who has which address until when.

Time is in whole seconds since 1970, as it has to outlive a restart.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from .options import Option
from .packet import Packet

Range = tuple[IPv4Address, IPv4Address]


class Hold(StrEnum):
    OFFERED = "offered"
    BOUND = "bound"
    DECLINED = "declined"  # in use by somebody who has no lease of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`client`: what option 61 said, empty where it was not there. `hardware`: type and address."""

    address: IPv4Address
    hardware: bytes
    client: bytes = b""
    hold: Hold = Hold.BOUND
    ends: int

    def is_live(self, now: int) -> bool:
        return now < self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The addresses of one subnet. `seconds`: how long a lease is."""

    network: IPv4Network
    ranges: tuple[Range, ...]
    seconds: int

    def holds(self, address: IPv4Address) -> bool:
        return any(first <= address <= last for first, last in self.ranges)


class Book:
    """All leases, found by address, card and client identifier. A later lease of an address takes
    the place of the one before."""

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        self._by_address: dict[IPv4Address, Lease] = {}
        self._by_hardware: dict[bytes, dict[IPv4Address, None]] = {}
        self._by_client: dict[bytes, dict[IPv4Address, None]] = {}
        self._supplies: dict[tuple[Range, ...], _Supply] = {}
        for lease in leases:
            self.put(lease)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._by_address.values())

    def at(self, address: IPv4Address) -> Lease | None:
        return self._by_address.get(address)

    def put(self, lease: Lease) -> None:
        self.drop(lease.address)
        self._by_address[lease.address] = lease
        self._by_hardware.setdefault(lease.hardware, {})[lease.address] = None
        if lease.client:
            self._by_client.setdefault(lease.client, {})[lease.address] = None
        for supply in self._supplies.values():
            supply.note(lease)

    def drop(self, address: IPv4Address) -> None:
        lease = self._by_address.pop(address, None)
        if lease is None:
            return
        for index, key in ((self._by_hardware, lease.hardware), (self._by_client, lease.client)):
            if key in index:
                index[key].pop(address, None)
                if not index[key]:
                    del index[key]

    def spare(
        self, pool: Pool, now: int, allowed: Callable[[IPv4Address], bool]
    ) -> IPv4Address | None:
        """An allowed address that nobody has: one that nobody had, else whose lease ended first."""
        if pool.ranges not in self._supplies:
            self._supplies[pool.ranges] = _Supply(pool, self)
        return self._supplies[pool.ranges].take(now, allowed)

    def of(self, request: Packet, now: int, fits: Callable[[Lease], bool]) -> Lease | None:
        """The client's lease that fits: a live one, else the one that ended last.

        By its identifier first, as RFC 2131 (4.2) has it, then by its card: a machine's boot
        ROM, its boot loader and its system each have an identifier of their own, and it should
        keep its address through all three.
        """
        client = client_of(request)
        by_card = self._by_hardware.get(hardware_of(request), {})
        leases = [self._by_address[a] for a in {**self._by_client.get(client, {}), **by_card}]

        def rank(lease: Lease) -> tuple[bool, bool, bool, int]:
            is_bound, is_named = lease.hold is Hold.BOUND, lease.client == client
            return lease.is_live(now), is_bound, is_named, lease.ends

        return max(filter(fits, leases), key=rank, default=None)


def hardware_of(request: Packet) -> bytes:
    """Cards whose address is too long for its field leave it empty (RFC 4390: InfiniBand) and have
    an identifier in its stead: they are not all one card."""
    return bytes([request.hardware_type]) + (request.hardware_address or client_of(request))


def client_of(request: Packet) -> bytes:
    return request.options.get(Option.CLIENT_IDENTIFIER, b"")


class _Supply:
    """What is left of one pool. A pool of 65,000 addresses is not to be looked through for each
    machine that asks: that takes 20 ms, in which nobody else is answered."""

    def __init__(self, pool: Pool, book: Book) -> None:
        self._pool, self._book = pool, book
        # Where in each range the addresses begin that nobody ever had. None comes back to it.
        self._fresh = [(int(first), int(last)) for first, last in pool.ranges]
        self._ends: list[tuple[int, int]] = []
        self._sort()

    def note(self, lease: Lease) -> None:
        if self._pool.holds(lease.address):
            heapq.heappush(self._ends, (lease.ends, int(lease.address)))
            if len(self._ends) > 4 * self._held + 64:  # renewals have left their former ends
                self._sort()

    def take(self, now: int, allowed: Callable[[IPv4Address], bool]) -> IPv4Address | None:
        for at in range(len(self._fresh)):
            if (address := self._next_fresh(at, allowed)) is not None:
                return address
        return self._longest_ended(now, allowed)

    def _sort(self) -> None:
        held = [lease for lease in self._book if self._pool.holds(lease.address)]
        self._held = len(held)
        self._ends = sorted((lease.ends, int(lease.address)) for lease in held)

    def _next_fresh(self, at: int, allowed: Callable[[IPv4Address], bool]) -> IPv4Address | None:
        first, last = self._fresh[at]
        for number in range(first, last + 1):
            address = IPv4Address(number)
            if self._book.at(address) is not None:
                if number == self._fresh[at][0]:
                    self._fresh[at] = number + 1, last
            elif allowed(address):
                return address
        return None

    def _longest_ended(
        self, now: int, allowed: Callable[[IPv4Address], bool]
    ) -> IPv4Address | None:
        passed_over = []
        found = None
        while self._ends and self._ends[0][0] <= now and found is None:
            ends, number = heapq.heappop(self._ends)
            lease = self._book.at(IPv4Address(number))
            if lease is None or lease.ends != ends:
                continue  # renewed since, or another's
            passed_over.append((ends, number))
            if allowed(lease.address):
                found = lease.address
        for entry in passed_over:
            heapq.heappush(self._ends, entry)
        return found
