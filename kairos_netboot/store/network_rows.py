"""Between the values of boot/network.py and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ..boot.network import DhcpMode, DhcpOptions, DhcpSite, KernelNetwork, Listen, Subnet

Json = dict[str, Any]


def from_options(options: DhcpOptions) -> Json:
    """Only what is said."""
    said: Json = {
        "routers": list(map(str, options.routers)),
        "dns": list(map(str, options.dns)),
        "ntp": list(map(str, options.ntp)),
        "domain": options.domain,
        "mtu": options.mtu,
        "routes": {str(network): str(router) for network, router in options.routes.items()},
        "lease_seconds": options.lease_seconds,
    }
    return {key: value for key, value in said.items() if value}


def to_options(row: Mapping[str, Any]) -> DhcpOptions:
    return DhcpOptions(
        routers=tuple(map(IPv4Address, row.get("routers", ()))),
        dns=tuple(map(IPv4Address, row.get("dns", ()))),
        ntp=tuple(map(IPv4Address, row.get("ntp", ()))),
        domain=row.get("domain", ""),
        mtu=row.get("mtu"),
        routes={IPv4Network(n): IPv4Address(r) for n, r in row.get("routes", {}).items()},
        lease_seconds=row.get("lease_seconds"),
    )


def from_dhcp(site: DhcpSite) -> Json:
    return {
        "mode": site.mode,
        "listen": site.listen,
        "subnets": [_from_subnet(subnet) for subnet in site.subnets],
        "check_address": site.check_address,
        "despite_others": site.despite_others,
    }


def to_dhcp(row: Mapping[str, Any]) -> DhcpSite:
    """An empty row is a site that says nothing of DHCP."""
    if not row:
        return DhcpSite()
    return DhcpSite(
        mode=DhcpMode(row["mode"]),
        listen=Listen(row["listen"]),
        subnets=tuple(map(_to_subnet, row["subnets"])),
        check_address=row["check_address"],
        despite_others=row["despite_others"],
    )


def _from_subnet(subnet: Subnet) -> Json:
    return {
        "network": str(subnet.network),
        "ranges": [[str(first), str(last)] for first, last in subnet.ranges],
        "options": from_options(subnet.options),
    }


def _to_subnet(row: Mapping[str, Any]) -> Subnet:
    return Subnet(
        network=IPv4Network(row["network"]),
        ranges=tuple((IPv4Address(first), IPv4Address(last)) for first, last in row["ranges"]),
        options=to_options(row["options"]),
    )


_KERNEL = ("vlan", "bond", "ifname", "ip", "nameserver")


def from_kernel(network: KernelNetwork) -> Json:
    return {key: list(getattr(network, key)) for key in _KERNEL if getattr(network, key)}


def to_kernel(row: Mapping[str, Any]) -> KernelNetwork:
    return KernelNetwork(**{key: tuple(row[key]) for key in _KERNEL if key in row})
