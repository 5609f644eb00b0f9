"""What RFC 2131 makes of a request, with the leases there are: values in, a ruling out.

Time is in whole seconds since 1970, as it has to outlive a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from .leasebook import Book, Hold, Lease, Pool, client_of, hardware_of
from .options import Option
from .packet import MessageType, Packet
from .relayed import address_in

_INFINITE = 0xFFFFFFFF
_FOREVER = 1 << 40
# How long an offered address waits for its REQUEST. EDK2 collects offers for 4 seconds and doubles
# its patience with each try.
OFFER_SECONDS = 60
# How long an address is left alone that somebody else was found to use.
DECLINED_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a request leads to. `kind` is None for silence; `lease` is to be kept before the answer
    leaves; `try_first`: the address is to be tried before it is offered; `alarm`: a person should
    hear of it."""

    reason: str
    kind: MessageType | None = None
    lease: Lease | None = None
    try_first: bool = False
    alarm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request for an address. `reserved`: the address kept for this machine, whichever of its
    `cards` asks; `taken`: whether one is kept for others. `server`: our identifier, as the client
    has it."""

    request: Packet
    pool: Pool
    server: IPv4Address
    now: int
    reserved: IPv4Address | None = None
    cards: Collection[bytes] = ()
    taken: Callable[[IPv4Address], bool] = lambda _: False

    def allows(self, address: IPv4Address) -> bool:
        """Whether this client may have it at all, whoever has it now."""
        if address == self.reserved:
            return True
        return self.pool.holds(address) and not self.taken(address)

    def is_own(self, lease: Lease) -> bool:
        """Whether it is this client's.

        An identifier is not enough while another card holds the lease: machines that were cloned
        from one disk have one identifier, and would be given one address.
        """
        if lease.hold is Hold.DECLINED:
            return False
        if lease.hardware == hardware_of(self.request):
            return True
        if lease.address == self.reserved and lease.hardware in self.cards:
            return True
        return self.is_named(lease) and not lease.is_live(self.now)

    def is_named(self, lease: Lease) -> bool:
        """Whether it has this client's identifier. Enough for one that uses the address: a bond
        goes on by another card."""
        client = client_of(self.request)
        return lease.hold is not Hold.DECLINED and bool(client) and lease.client == client

    def lease(self, address: IPv4Address, hold: Hold) -> Lease:
        seconds = OFFER_SECONDS if hold is Hold.OFFERED else self.pool.seconds
        return Lease(
            address=address,
            hardware=hardware_of(self.request),
            client=client_of(self.request),
            hold=hold,
            ends=_FOREVER if seconds == _INFINITE else self.now + seconds,
        )


def rule(question: Question, book: Book) -> Ruling:
    """What RFC 2131 (4.3) makes of a message; `book` is only read."""
    match question.request.message_type:
        case MessageType.DISCOVER:
            return _discover(question, book)
        case MessageType.REQUEST:
            return _request(question, book)
        case MessageType.DECLINE:
            return _decline(question, book)
        case MessageType.RELEASE:
            return _release(question, book)
        case MessageType.INFORM:
            return Ruling(reason="told its options", kind=MessageType.ACK)
        case None:
            return Ruling(reason="BOOTP without DHCP is not served")
        case kind:
            return Ruling(reason=f"{kind.name} is what servers send")


def _discover(question: Question, book: Book) -> Ruling:
    known = book.of(
        question.request,
        question.now,
        lambda lease: question.is_own(lease) and question.allows(lease.address),
    )
    address = _choose(question, book, known)
    if address is None:
        return _nothing_left(question)
    runs = known if known and known.address == address and known.is_live(question.now) else None
    # An offer takes nothing from a lease that runs.
    lease = runs if runs and runs.hold is Hold.BOUND else question.lease(address, Hold.OFFERED)
    return Ruling(
        reason=f"offered {address}",
        kind=MessageType.OFFER,
        lease=lease,
        try_first=runs is None,
    )


def _nothing_left(question: Question) -> Ruling:
    network = question.pool.network
    if not question.pool.ranges:
        reason = f"no address is kept for it, and {network} has no `ranges` for others"
        return Ruling(reason=reason, alarm=True)
    reason = f"no address is left in {network}: widen its `ranges`, or shorten its `lease`"
    return Ruling(reason=reason, alarm=True)


def _choose(question: Question, book: Book, known: Lease | None) -> IPv4Address | None:
    """RFC 2131 (4.3.1): its own address, then the one it had, the one it asks for, a new one."""
    wanted = requested(question.request)
    for address in (question.reserved, known.address if known else None, wanted):
        if address is None or not question.allows(address):
            continue
        if _is_free(question, book, address):
            return address
    return book.spare(question.pool, question.now, question.allows)


def _is_free(question: Question, book: Book, address: IPv4Address) -> bool:
    """Whether nobody else has it now."""
    held = book.at(address)
    return held is None or not held.is_live(question.now) or question.is_own(held)


def _request(question: Question, book: Book) -> Ruling:
    """Which of its four states the client is in, by RFC 2131's table 4."""
    request = question.request
    chosen, wanted = request.options.get(Option.SERVER_IDENTIFIER), requested(request)
    if chosen is not None and chosen != question.server.packed:
        return _passed_over(question, book, _text(chosen))
    if chosen is not None:
        return _grant(question, book, wanted or request.client_address)
    if wanted is not None and not int(request.client_address):
        return _restarted(question, book, wanted)
    if int(request.client_address):
        return _renew(question, book, request.client_address)
    return Ruling(reason="a REQUEST that names no address")


def _passed_over(question: Question, book: Book, chosen: str) -> Ruling:
    """RFC 2131 (3.1, step 4): what we offered is declined, and others may have it at once."""
    reason = f"took another server's offer ({chosen})"
    ours = book.of(
        question.request,
        question.now,
        lambda lease: lease.hold is Hold.OFFERED and question.is_own(lease),
    )
    if ours is None or not ours.is_live(question.now):
        return Ruling(reason=reason)
    return Ruling(reason=reason, lease=replace(ours, ends=question.now))


def _grant(question: Question, book: Book, address: IPv4Address) -> Ruling:
    """An offer that a restart of ours has forgotten is good as long as nobody else has it."""
    if not question.allows(address) or not _is_free(question, book, address):
        return _refuse(f"{address} is not to be had")
    return _bind(question, address)


def _bind(question: Question, address: IPv4Address) -> Ruling:
    lease = question.lease(address, Hold.BOUND)
    return Ruling(reason=f"leased {address}", kind=MessageType.ACK, lease=lease)


def _restarted(question: Question, book: Book, wanted: IPv4Address) -> Ruling:
    """INIT-REBOOT: the client has moved, has forgotten nothing, or is not known at all."""
    network = question.pool.network
    if wanted not in network:
        return _refuse(f"{wanted} is of another network")
    known = book.of(
        question.request,
        question.now,
        lambda lease: question.is_own(lease) and lease.address in network,
    )
    if question.reserved is not None and wanted != question.reserved:
        return _refuse(f"{question.reserved} is kept for it, and not {wanted}")
    if known is None and wanted != question.reserved:
        # RFC 2131 (4.3.2): no record of this client, so the server MUST remain silent.
        return Ruling(reason=f"asks for {wanted} again, and nothing is known of it")
    if known is not None and known.address != wanted and wanted != question.reserved:
        return _refuse(f"{known.address} is its address, and not {wanted}")
    return _grant(question, book, wanted)


def _renew(question: Question, book: Book, address: IPv4Address) -> Ruling:
    """RENEWING and REBINDING."""
    held, kept = book.at(address), question.reserved
    has = held is not None and (question.is_own(held) or question.is_named(held))
    if held is not None and held.is_live(question.now) and not has:
        return _refuse(f"{address} is another machine's")
    if kept is not None and kept != address and _is_free(question, book, kept):
        return _refuse(f"{kept} is kept for it, and not {address}")
    if (has or address == kept) and question.allows(address):
        return _bind(question, address)
    if has:
        return _refuse(f"{address} is not to be had")
    return Ruling(reason=f"renews {address}, and nothing is known of it")


def _refuse(reason: str) -> Ruling:
    return Ruling(reason=reason, kind=MessageType.NAK)


def _decline(question: Question, book: Book) -> Ruling:
    address = requested(question.request)
    chosen = question.request.options.get(Option.SERVER_IDENTIFIER)
    if chosen is not None and chosen != question.server.packed:
        return Ruling(reason=f"declines what another server gave it ({_text(chosen)})")
    held = book.at(address) if address else None
    if held is None or not question.is_own(held):
        return Ruling(reason="declines an address that it was not given")
    return Ruling(
        reason=f"declines {held.address}, which somebody without a lease uses: it is set aside",
        lease=set_aside(held, question.now),
        alarm=True,
    )


def set_aside(lease: Lease, now: int) -> Lease:
    """The lease of an address that somebody else was found to use."""
    return replace(lease, hold=Hold.DECLINED, ends=now + DECLINED_SECONDS)


def _release(question: Question, book: Book) -> Ruling:
    held = book.at(question.request.client_address)
    if held is None or not question.is_own(held):
        return Ruling(reason="releases an address that it was not given")
    ended = replace(held, ends=min(held.ends, question.now))
    return Ruling(reason=f"releases {held.address}", lease=ended)


def requested(request: Packet) -> IPv4Address | None:
    """Option 50."""
    return address_in(request.options.get(Option.REQUESTED_ADDRESS, b""))


def _text(raw: bytes) -> str:
    return str(address_in(raw) or raw.hex())
