"""What the site file says of networks: our part in DHCP, and what installers' kernels are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network


class DhcpMode(StrEnum):
    PROXY = "proxy"  # beside the site's own DHCP server
    SERVER = "server"  # the site's DHCP server
    OFF = "off"


class Listen(StrEnum):
    """How port 67 is listened on."""

    UDP = "udp"
    RAW = "raw"  # by a packet socket, where another daemon of this host holds the port


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpOptions:
    """What a lease tells besides its address. None and empty: not said."""

    routers: tuple[IPv4Address, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    domain: str = ""
    mtu: int | None = None
    routes: Mapping[IPv4Network, IPv4Address] = field(default_factory=dict)
    lease_seconds: int | None = None


Range = tuple[IPv4Address, IPv4Address]  # the first and the last of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    network: IPv4Network
    ranges: tuple[Range, ...] = ()
    options: DhcpOptions = DhcpOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpSite:
    """`check_address`: whether an address is tried before it is offered. `despite_others`: serve
    where another DHCP server answers, too."""

    mode: DhcpMode = DhcpMode.PROXY
    listen: Listen = Listen.UDP
    subnets: tuple[Subnet, ...] = ()
    check_address: bool = True
    despite_others: bool = False

    def subnet_of(self, address: IPv4Address) -> Subnet | None:
        """The narrowest that holds the address."""
        holding = [subnet for subnet in self.subnets if address in subnet.network]
        return max(holding, key=lambda subnet: subnet.network.prefixlen, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelNetwork:
    """The network of the installer's kernel where plain DHCP on the booted card does not do, as
    arguments of dracut: each text is what follows `vlan=`, `bond=`, `ifname=`, `ip=`,
    `nameserver=`."""

    vlan: tuple[str, ...] = ()
    bond: tuple[str, ...] = ()
    ifname: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()  # in place of `ip=dhcp`
    nameserver: tuple[str, ...] = ()
