"""What the doctor knows of a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Interface, IPv6Address
from typing import Any

from ..boot.network import DhcpMode, DhcpSite, Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """`has_link`: a cable, or what stands for one. `part_of`: the bridge, bond or VLAN's interface
    above it, which has the addresses then. `addresses6`: those that machines can use."""

    name: str
    up: bool
    mtu: int
    addresses: tuple[IPv4Interface, ...] = ()
    addresses6: tuple[IPv6Address, ...] = ()
    has_link: bool = True
    part_of: str = ""

    @property
    def serves(self) -> bool:
        return self.up and not self.part_of

    @property
    def usable(self) -> tuple[IPv4Interface, ...]:
        return tuple(own for own in self.addresses if not own.ip.is_link_local)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """`use`: what for. `option`: what chooses another. `holder`: the program that has it and its
    process's number, empty where it is free; `process`: that number, 0 where only root may know it;
    `is_ours`: it is `serve`."""

    protocol: str
    number: int
    use: str
    option: str
    holder: str = ""
    process: int = 0
    is_ours: bool = False
    ipv6: bool = False  # only for that

    @property
    def name(self) -> str:
        return f"{self.protocol.upper()} port {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`interfaces`: those with Ethernet that machines may be on. `capabilities`: the effective
    ones. `open_from`: the first port that needs no right; `free_ports`: those the kernel chooses
    from, the first and the last. `sends_frames`: whether the running server has a packet socket,
    None where it does not run or nobody tells. `ruleset`: nftables', None where it could not be
    read; `why_not` says why. `newest`: the time of the newest event in the state. `synchronised`:
    None where nobody tells. `free`: bytes where the state is kept."""

    interfaces: tuple[Interface, ...]
    ports: tuple[Port, ...]
    capabilities: frozenset[str]
    open_from: int
    free_ports: tuple[int, int]
    sends_frames: bool | None
    ruleset: Mapping[str, Any] | None
    why_not: str
    has_legacy_rules: bool
    now: datetime
    newest: datetime | None
    synchronised: bool | None
    free: int
    may_write: bool
    dhcp: DhcpSite = field(default_factory=DhcpSite)

    @property
    def is_served(self) -> bool:
        return any(port.is_ours for port in self.ports)

    @property
    def is_raw(self) -> bool:
        return self.dhcp.listen is Listen.RAW and self.dhcp.mode is not DhcpMode.OFF

    def by_packet_socket(self, port: Port) -> bool:
        """Whether a port is listened on beside whoever holds it."""
        return self.is_raw and port.use == DHCP


DHCP, PXE, TFTP, HTTP, DHCP6 = "DHCP", "PXE boot server", "TFTP", "HTTP", "DHCPv6"
