"""What a relay says of the network that a client is in (RFC 3046, 3527, 5107)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from .options import Option
from .packet import Packet


def address_in(raw: bytes) -> IPv4Address | None:
    """None where it is no address."""
    return IPv4Address(raw) if len(raw) == 4 else None


def relay_suboptions(request: Packet) -> Mapping[int, bytes]:
    """What is in option 82 (RFC 3046); empty where it is missing or malformed, or where no relay
    can have written it."""
    if not int(request.relay):
        return {}
    raw, at, found = request.options.get(Option.RELAY_AGENT, b""), 0, {}
    while at + 2 <= len(raw):
        end = at + 2 + raw[at + 1]
        if end > len(raw):
            return {}
        found[raw[at]] = raw[at + 2 : end]
        at = end
    return found


_LINK_SELECTION = 5  # RFC 3527
_SERVER_OVERRIDE = 11  # RFC 5107
SUBNET_SELECTION = 118  # RFC 3011


def link_of(
    request: Packet, server: IPv4Address, broadcast_on: IPv4Address | None = None
) -> IPv4Address:
    """An address of the network that the client is in: the relay's word for it, the relay's own,
    ours of the network that it was broadcast on, the one the client has, ours.

    A broadcast says more than the client's address: it may have been moved since.
    """
    told = address_in(relay_suboptions(request).get(_LINK_SELECTION, b""))
    selected = address_in(request.options.get(SUBNET_SELECTION, b""))
    for address in (told, selected, request.relay, broadcast_on, request.client_address):
        if address is not None and int(address):
            return address
    return server


def identifier_of(request: Packet, server: IPv4Address) -> IPv4Address:
    """Our identifier as this client shall know it: a relay may want all to go through it."""
    return address_in(relay_suboptions(request).get(_SERVER_OVERRIDE, b"")) or server
