"""The packet that tells a lease, and where it goes (RFC 2131, sections 4.1 and 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from .answer import CLIENT_PORT, SERVER_PORT, Reply
from .options import Option
from .packet import MessageType, Op, Packet
from .relayed import SUBNET_SELECTION

_BROADCAST_FLAG = 0x8000
_EVERYONE = "255.255.255.255"
_ANY = IPv4Address(0)
_INFINITE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a lease says of its network. `seconds` is None for INFORM, which leases nothing."""

    network: IPv4Network
    seconds: int | None
    routers: Sequence[IPv4Address] = ()
    dns: Sequence[IPv4Address] = ()
    ntp: Sequence[IPv4Address] = ()
    domain: str = ""
    host_name: str = ""
    mtu: int | None = None
    routes: Mapping[IPv4Network, IPv4Address] = field(default_factory=dict)


def lease_reply(
    request: Packet,
    kind: MessageType,
    *,
    address: IPv4Address,
    server: IPv4Address,
    told: Told | None,
) -> Reply:
    """`address` is 0.0.0.0 for NAK and INFORM; `told` is None for NAK."""
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes([kind]),
        Option.SERVER_IDENTIFIER: server.packed,
    }
    if told is not None:
        options |= dict(_asked_for(request, _said(told)))
    # RFC 6842: the client identifier comes back. RFC 3046: option 82 does, and is the last.
    # RFC 3011: so does the subnet that was asked for.
    for code in (Option.CLIENT_IDENTIFIER, SUBNET_SELECTION, Option.RELAY_AGENT):
        if code in request.options:
            options[code] = request.options[code]
    through_relay_nak = kind is MessageType.NAK and int(request.relay)
    packet = Packet(
        op=Op.REPLY,
        hardware_type=request.hardware_type,
        hardware_address=request.hardware_address,
        xid=request.xid,
        # RFC 2131 (4.3.2): so that the relay broadcasts a NAK to a client with a wrong address.
        flags=request.flags | (_BROADCAST_FLAG if through_relay_nak else 0),
        client_address=request.client_address if kind is MessageType.ACK else _ANY,
        your_address=address,
        relay=request.relay,
        options=options,
    )
    destination, hardware = _way(request, kind, address)
    return Reply(packet=packet, destination=destination, hardware=hardware)


def _way(request: Packet, kind: MessageType, address: IPv4Address) -> tuple[tuple[str, int], bytes]:
    """RFC 2131 (4.1): relay, broadcast for a NAK, the client's address, broadcast where it wants
    that, else its card."""
    if int(request.relay):
        return (str(request.relay), SERVER_PORT), b""
    if kind is MessageType.NAK:
        return (_EVERYONE, CLIENT_PORT), b""
    if int(request.client_address):
        return (str(request.client_address), CLIENT_PORT), b""
    if request.flags & _BROADCAST_FLAG or request.mac is None or not int(address):
        return (_EVERYONE, CLIENT_PORT), b""
    return (str(address), CLIENT_PORT), request.hardware_address


def _said(told: Told) -> dict[int, bytes]:
    """Every option there is something to say for."""
    said = {
        Option.SUBNET_MASK: told.network.netmask.packed,
        Option.BROADCAST_ADDRESS: told.network.broadcast_address.packed,
        Option.ROUTERS: _packed(told.routers),
        Option.DNS_SERVERS: _packed(told.dns),
        Option.NTP_SERVERS: _packed(told.ntp),
        Option.HOST_NAME: told.host_name.encode(),
        Option.DOMAIN_NAME: told.domain.encode(),
        Option.INTERFACE_MTU: told.mtu.to_bytes(2, "big") if told.mtu else b"",
        Option.CLASSLESS_ROUTES: b"".join(_routes(told)) if told.routes else b"",
    }
    return {int(code): value for code, value in {**_times(told.seconds), **said}.items() if value}


def _packed(addresses: Sequence[IPv4Address]) -> bytes:
    return b"".join(address.packed for address in addresses)


def _times(seconds: int | None) -> dict[Option, bytes]:
    """A lease without an end is not renewed."""
    if seconds is None:
        return {}
    times = {Option.LEASE_TIME: seconds}
    if seconds != _INFINITE:
        times |= {Option.RENEWAL_TIME: seconds // 2, Option.REBINDING_TIME: seconds * 7 // 8}
    return {code: value.to_bytes(4, "big") for code, value in times.items()}


def _routes(told: Told) -> Iterator[bytes]:
    """RFC 3442. Who reads these ignores option 3: the default route is among them."""
    routes = dict(told.routes)
    if told.routers:
        routes.setdefault(IPv4Network("0.0.0.0/0"), told.routers[0])
    for network, router in routes.items():
        significant = (network.prefixlen + 7) // 8
        yield bytes([network.prefixlen])
        yield network.network_address.packed[:significant] + router.packed


# A client gets these whatever it asks for; most ROMs forget to ask for the times.
_ALWAYS = frozenset(
    {Option.LEASE_TIME, Option.RENEWAL_TIME, Option.REBINDING_TIME, Option.SUBNET_MASK}
)


def _asked_for(request: Packet, said: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """In the order of the client's parameter request list; all of them where it has none."""
    wanted = request.options.get(Option.PARAMETERS, b"")
    for code, value in said.items():
        if not wanted or code in _ALWAYS:
            yield code, value
    for number in wanted:
        if number in said and number not in _ALWAYS:
            yield number, said[number]
