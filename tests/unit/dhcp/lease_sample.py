"""One small subnet, and clients that ask for addresses of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from kairos_netboot.dhcp.leasebook import Book, Hold, Lease, Pool
from kairos_netboot.dhcp.leases import Question, Ruling, rule
from kairos_netboot.dhcp.options import Option
from kairos_netboot.dhcp.packet import MessageType, Op, Packet

NOW = 1_795_000_000
SERVER = IPv4Address("192.0.2.2")
POOL = Pool(
    network=IPv4Network("192.0.2.0/24"),
    ranges=((IPv4Address("192.0.2.10"), IPv4Address("192.0.2.12")),),
    seconds=3600,
)
CARD, OTHER, THIRD = (bytes.fromhex(f"52540000000{n}") for n in (1, 2, 3))


def address(last: int) -> IPv4Address:
    return IPv4Address(f"192.0.2.{last}")


def request(
    kind: MessageType,
    *,
    card: bytes = CARD,
    client: bytes = b"",
    wants: IPv4Address | None = None,
    chosen: IPv4Address | None = None,
    has: IPv4Address | None = None,
) -> Packet:
    """`wants`: option 50; `chosen`: option 54; `has`: ciaddr."""
    options: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes([kind])}
    if client:
        options[Option.CLIENT_IDENTIFIER] = client
    if wants:
        options[Option.REQUESTED_ADDRESS] = wants.packed
    if chosen:
        options[Option.SERVER_IDENTIFIER] = chosen.packed
    return Packet(
        op=Op.REQUEST,
        xid=0xABCD,
        hardware_address=card,
        client_address=has or IPv4Address(0),
        options=options,
    )


def ask(packet: Packet, book: Book, **changes: object) -> Ruling:
    question = Question(request=packet, pool=POOL, server=SERVER, now=NOW)
    return rule(replace(question, **changes), book)  # type: ignore[arg-type]


def lease(
    last: int,
    card: bytes = CARD,
    *,
    client: bytes = b"",
    hold: Hold = Hold.BOUND,
    left: int = 1800,
) -> Lease:
    """`left`: seconds until it ends."""
    return Lease(
        address=address(last), hardware=b"\x01" + card, client=client, hold=hold, ends=NOW + left
    )
