"""Where a machine asks from: its network, our interface there, the switch and its port."""

from __future__ import annotations

from ipaddress import IPv4Address

from ..dhcp.packet import Packet
from ..dhcp.relayed import link_of, relay_suboptions

# RFC 3046.
_CIRCUIT_ID, _REMOTE_ID = 1, 2
# What may stand in a text. A VLAN and a port in 4 or 6 bytes, as most switches have them, may not.
_READABLE = range(0x20, 0x7F)


def network_of(request: Packet, broadcast_on: IPv4Address | None) -> IPv4Address | None:
    """An address of the network that the client is in: a relay's word for it, or ours where it
    was broadcast on. None for what says neither: our own address would be the wrong network for
    a client behind a router."""
    nowhere = IPv4Address(0)
    found = link_of(request, nowhere, broadcast_on)
    return None if found in (nowhere, request.client_address) else found


def place_of(request: Packet, broadcast_on: IPv4Address | None, interface: str) -> dict[str, str]:
    """The same as facts; what is not known is left out."""
    relayed = relay_suboptions(request)
    facts = {
        "network": str(network_of(request, broadcast_on) or ""),
        "interface": interface,
        "switch-port": _text(relayed.get(_CIRCUIT_ID, b"")),
        "switch": _text(relayed.get(_REMOTE_ID, b"")),
    }
    return {key: value for key, value in facts.items() if value}


def _text(raw: bytes) -> str:
    """As it is where it can be read, else in hexadecimal."""
    return raw.decode("ascii").strip() if all(b in _READABLE for b in raw) else raw.hex()
