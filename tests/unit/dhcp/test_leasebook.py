"""Leases and clients at random: what must hold whatever they do."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kairos_netboot.dhcp import leases
from kairos_netboot.dhcp.leasebook import Book, Hold, Lease, Pool
from kairos_netboot.dhcp.packet import MessageType, Packet
from tests.unit.dhcp.lease_sample import NOW, POOL, SERVER, address, lease, request

CARDS = [bytes.fromhex(f"52540000000{n}") for n in range(4)]
RESERVED = {CARDS[0]: address(50), CARDS[1]: address(11)}
TYPES = MessageType


def test_a_later_lease_of_an_address_takes_the_place_of_the_one_before() -> None:
    book = Book([lease(10), lease(10, CARDS[2])])
    assert [held.hardware for held in book] == [b"\x01" + CARDS[2]]
    assert book.of(request(TYPES.DISCOVER), NOW, lambda _: True) is None


def test_of_several_leases_the_live_one_is_a_machines() -> None:
    book = Book([lease(10, left=-1), lease(11, hold=Hold.OFFERED, left=9), lease(12, left=-9)])
    found = book.of(request(TYPES.DISCOVER), NOW, lambda _: True)
    assert found is not None
    assert found.address == address(11)


def test_a_live_lease_by_its_card_goes_before_an_ended_one_by_its_identifier() -> None:
    book = Book([lease(10, CARDS[2], client=b"\x01same", left=-1), lease(11, left=60)])
    found = book.of(request(TYPES.DISCOVER, client=b"\x01same"), NOW, lambda _: True)
    assert found is not None
    assert found.address == address(11)


def test_a_large_pool_gives_every_address_once() -> None:
    first = IPv4Address("10.0.0.1")
    pool = Pool(network=POOL.network, ranges=((first, first + 19_999),), seconds=60)
    book, seen = Book(), set()
    for number in range(20_000):
        spare = book.spare(pool, NOW, lambda _: True)
        assert spare is not None
        seen.add(spare)
        hardware = number.to_bytes(6, "big")
        book.put(Lease(address=spare, hardware=hardware, ends=NOW + 1 + number % 7))
    assert len(seen) == 20_000
    assert book.spare(pool, NOW, lambda _: True) is None
    ended = book.spare(pool, NOW + 3, lambda _: True)
    assert ended is not None
    held = book.at(ended)
    assert held is not None
    assert held.ends == NOW + 1


def test_renewals_do_not_pile_up() -> None:
    book = Book()
    assert book.spare(POOL, NOW, lambda _: True) == address(10)
    for second in range(2_000):
        book.put(lease(10, left=second))
    assert len(book._supplies[POOL.ranges]._ends) < 100


def test_what_is_not_allowed_now_may_be_later() -> None:
    book = Book([lease(11, left=-2), lease(12, left=-1)])
    assert book.spare(POOL, NOW, lambda a: a == address(12)) == address(12)
    assert book.spare(POOL, NOW, lambda a: a != address(10)) == address(11)
    assert book.spare(POOL, NOW, lambda _: True) == address(10)


class Site(RuleBasedStateMachine):
    """Four machines, three addresses in a range (one of them kept for a machine), one outside."""

    def __init__(self) -> None:
        super().__init__()
        self.book, self.now = Book(), NOW
        self.disk: dict[IPv4Address, Lease] = {}
        self.offers: dict[bytes, IPv4Address] = {}
        # What each client believes that it has: the address and until when.
        self.held: dict[bytes, tuple[IPv4Address, int]] = {}

    def send(self, packet: Packet) -> leases.Ruling:
        card = packet.hardware_address
        others = {RESERVED[c] for c in RESERVED if c != card}
        question = leases.Question(
            request=packet,
            pool=POOL,
            server=SERVER,
            now=self.now,
            reserved=RESERVED.get(card),
            cards=[b"\x01" + card],
            taken=others.__contains__,
        )
        ruling = leases.rule(question, self.book)
        if ruling.lease is not None:
            self.book.put(ruling.lease)
            if ruling.lease.hold is not Hold.OFFERED:
                self.disk[ruling.lease.address] = ruling.lease
        if ruling.kind is TYPES.ACK and ruling.lease is not None:
            self.held[card] = ruling.lease.address, self.now + POOL.seconds
        if ruling.kind is TYPES.NAK:
            self.held.pop(card, None)
        return ruling

    def has(self, card: bytes) -> IPv4Address | None:
        found, until = self.held.get(card, (None, 0))
        return found if self.now < until else None

    cards = st.sampled_from(CARDS)
    identifiers = st.sampled_from([b"", b"\x01same", b"\xffother"])
    wishes = st.sampled_from([None, *(address(n) for n in (9, 10, 11, 12, 50))])

    @rule(card=cards, client=identifiers, wants=wishes)
    def discover(self, card: bytes, client: bytes, wants: IPv4Address | None) -> None:
        had = self.has(card)
        ruling = self.send(request(TYPES.DISCOVER, card=card, client=client, wants=wants))
        if ruling.lease is not None:
            self.offers[card] = ruling.lease.address
        if had is not None and card not in RESERVED:
            assert ruling.lease is not None
            assert ruling.lease.address == had, "a machine keeps its address"

    @rule(card=cards, client=identifiers, wants=wishes)
    def join(self, card: bytes, client: bytes, wants: IPv4Address | None) -> None:
        self.discover(card, client, wants)
        self.take(card, client)

    @rule(card=cards, client=identifiers)
    def take(self, card: bytes, client: bytes) -> None:
        if card in self.offers:
            wanted = self.offers.pop(card)
            packet = request(TYPES.REQUEST, card=card, client=client, wants=wanted, chosen=SERVER)
            self.send(packet)

    @rule(card=cards, client=identifiers, wants=wishes)
    def restart(self, card: bytes, client: bytes, wants: IPv4Address | None) -> None:
        self.send(request(TYPES.REQUEST, card=card, client=client, wants=self.has(card) or wants))

    @rule(card=cards, client=identifiers)
    def renew(self, card: bytes, client: bytes) -> None:
        if found := self.has(card):
            ruling = self.send(request(TYPES.REQUEST, card=card, client=client, has=found))
            assert card in RESERVED or ruling.kind is TYPES.ACK

    @rule(card=cards)
    def take_anothers(self, card: bytes) -> None:
        self.offers.pop(card, None)
        other = IPv4Address("192.0.2.3")
        self.send(request(TYPES.REQUEST, card=card, wants=address(99), chosen=other))

    @rule(card=cards)
    def release(self, card: bytes) -> None:
        if found := self.has(card):
            self.send(request(TYPES.RELEASE, card=card, has=found))
            del self.held[card]

    @rule(card=cards)
    def decline(self, card: bytes) -> None:
        if found := self.has(card):
            self.send(request(TYPES.DECLINE, card=card, wants=found, chosen=SERVER))
            del self.held[card]

    @rule(seconds=st.sampled_from([1, 59, 60, 1800, 3599, 3600, 4000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.disk)
    @rule()
    def kill(self) -> None:
        self.book = Book(self.disk.values())

    @invariant()
    def no_two_have_one_address(self) -> None:
        live = [found for card in CARDS if (found := self.has(card))]
        assert len(live) == len(set(live))

    @invariant()
    def only_what_there_is_is_leased(self) -> None:
        for held in self.book:
            owner = held.hardware[1:]
            assert POOL.holds(held.address) or RESERVED.get(owner) == held.address
            if held.hold is Hold.BOUND and held.is_live(self.now):
                assert held.address not in {RESERVED[c] for c in RESERVED if c != owner}


TestSite = Site.TestCase
TestSite.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
