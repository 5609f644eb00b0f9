"""What a packet of ours has where a rule of nftables looks. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TRANSPORTS = ("udp", "tcp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Span = tuple[int, int]  # the first port and the last
Value = str | Span | Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A packet that has to pass, to us or `outward`. Ports and `source` are all those it may have;
    None: any. `framed`: a packet socket takes or sends it, which only `netdev` chains can stop."""

    protocol: str
    to: Span
    by: Span | None = None
    family: str = "ip"  # or ip6
    outward: bool = False
    state: str = "new"  # conntrack's
    interface: str = ""  # empty: any
    source: Network | None = None
    broadcast: bool = False
    framed: bool = False


def is_in(right: Any, value: Value) -> bool | None:
    """Of one thing that is no set; None where it holds for a part of the value, or is not known."""
    if isinstance(value, str):
        if not isinstance(right, str):
            return None
        return value.startswith(right[:-1]) if right.endswith("*") else right == value
    if isinstance(value, tuple):
        return _covers(_span(right), value)
    network = _network(right)
    if network is None or network.version != value.version:
        return None
    own, other = (int(value[0]), int(value[-1])), (int(network[0]), int(network[-1]))
    return _covers(other, own)


def _covers(span: Span | None, value: Span) -> bool | None:
    if span is None:
        return None
    if span[0] <= value[0] and value[1] <= span[1]:
        return True
    return False if span[1] < value[0] or value[1] < span[0] else None


def _span(right: Any) -> Span | None:
    if isinstance(right, int):
        return right, right
    found = right.get("range") if isinstance(right, dict) else None
    if isinstance(found, list) and len(found) == 2 and all(isinstance(n, int) for n in found):
        return found[0], found[1]
    return None


def _network(right: Any) -> Network | None:
    if isinstance(right, dict) and isinstance(right.get("prefix"), dict):
        right = f"{right['prefix'].get('addr')}/{right['prefix'].get('len')}"
    try:
        return ipaddress.ip_network(right) if isinstance(right, str) else None
    except ValueError:
        return None


def value_of(left: Any, wanted: Wanted) -> Value | bool | None:
    """What the packet has there; False where it has no such thing, None where nobody knows."""
    if not isinstance(left, dict) or len(left) != 1:
        return None
    ((kind, of),) = left.items()
    if not isinstance(of, dict):
        return None
    if kind == "payload":
        return _payload(of.get("protocol"), of.get("field"), wanted)
    return _about(kind, of.get("key", of.get("result")), of, wanted)


def _payload(protocol: Any, field: Any, wanted: Wanted) -> Value | bool | None:
    if protocol in _TRANSPORTS and protocol != wanted.protocol:
        return False
    if protocol in ("ip", "ip6") and protocol != wanted.family:
        return False
    match protocol, field:
        case (("udp" | "tcp" | "th"), "dport"):
            return wanted.to
        case (("udp" | "tcp" | "th"), "sport"):
            return wanted.by
        case (("ip" | "ip6"), ("protocol" | "nexthdr")):
            return wanted.protocol
        case (("ip" | "ip6"), "saddr"):
            return wanted.source
        case "ip", "daddr" if wanted.broadcast:
            return ipaddress.ip_network("255.255.255.255")
    return None


def _about(kind: str, key: Any, of: Mapping[str, Any], wanted: Wanted) -> Value | None:
    ipv4, inward = wanted.family == "ip", not wanted.outward
    interface = wanted.interface or None
    known = {
        ("meta", "l4proto"): wanted.protocol,
        ("meta", "nfproto"): "ipv4" if ipv4 else "ipv6",
        ("meta", "protocol"): wanted.family,
        ("meta", "iifname"): interface if inward else None,
        ("meta", "iif"): interface if inward else None,
        ("meta", "oifname"): None if inward else interface,
        ("meta", "oif"): None if inward else interface,
        ("ct", "state"): wanted.state,
    }
    if inward and ipv4:
        known["meta", "pkttype"] = "broadcast" if wanted.broadcast else "host"
    if inward and of.get("flags") in ("daddr", ["daddr"]):
        known["fib", "type"] = "broadcast" if wanted.broadcast else "local"
    return known.get((kind, key)) if isinstance(key, str) else None
