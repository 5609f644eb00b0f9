"""What is wrong with this host for a netboot server, from what was read of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .findings import Finding, broken, doubtful, fine
from .firewall import Verdict, Wanted, ruling

US = "kairos-netboot"
# A TFTP block of 1468 bytes fills an Ethernet frame; a smaller one makes fragments, which boot
# ROMs do not put together.
_ETHERNET = 1500
_GIB = 1 << 30
# One image of usual size with its layers; less than this and the next `images add` fails.
_LITTLE_SPACE = 4 * _GIB
_NO_SPACE = _GIB // 4
_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    name: str
    up: bool
    mtu: int
    addresses: tuple[str, ...] = ()  # IPv4
    loopback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """`use`: what for. `option`: what chooses another. `holder`: the program that has it and its
    process's number, empty where it is free."""

    protocol: str
    number: int
    use: str
    option: str
    holder: str = ""

    @property
    def name(self) -> str:
        return f"{self.protocol.upper()} port {self.number}"

    @property
    def is_ours(self) -> bool:
        return self.holder.startswith(US)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`capabilities`: the effective ones. `open_from`: the first port that needs no right.
    `ruleset`: nftables', None where it could not be read; `why_not` says why.
    `newest`: the time of the newest event in the state; `synchronised`: None where nobody tells."""

    interfaces: tuple[Interface, ...]
    ports: tuple[Port, ...]
    capabilities: frozenset[str]
    open_from: int
    ruleset: Mapping[str, Any] | None
    why_not: str
    now: datetime
    newest: datetime | None
    synchronised: bool | None
    free: int  # bytes where the state is kept


def check_host(host: Host) -> Iterator[Finding]:
    yield from check_ports(host)
    yield from check_rights(host)
    yield from check_interfaces(host)
    yield from check_firewall(host)
    yield from check_clock(host)
    yield from check_space(host)


def check_ports(host: Host) -> Iterator[Finding]:
    if not any(port.holder for port in host.ports):
        names = ", ".join(f"{port.name} ({port.use})" for port in host.ports)
        text = f"`serve` is not running: {names} are free"
        yield doubtful("ports", text, "start `kairos-netboot serve`")
        return
    for port in host.ports:
        if port.is_ours:
            yield fine("ports", f"{port.name} ({port.use}): {port.holder} listens")
        elif not port.holder:
            text = f"{port.name} ({port.use}) is free, and nobody listens"
            yield doubtful("ports", text, "start `kairos-netboot serve`")
        else:
            yield broken(
                "ports",
                f"{port.name} ({port.use}) is taken by {port.holder}: `serve` cannot start",
                _way_out(port),
            )


def _way_out(port: Port) -> str:
    if port.number == 67:
        return "stop it, or let it be with `dhcp: {listen: raw}` in the site file"
    return f"stop it, or choose {port.option}"


def check_rights(host: Host) -> Iterator[Finding]:
    if any(port.is_ours for port in host.ports):
        return  # it runs
    low = [port.name for port in host.ports if port.number < host.open_from]
    if low and "cap_net_bind_service" not in host.capabilities:
        yield doubtful(
            "rights",
            f"this user may not open {', '.join(low)}",
            "start `serve` as root (it gives root up), or with CAP_NET_BIND_SERVICE",
        )
    else:
        yield fine("rights", "the ports can be opened")


def check_interfaces(host: Host) -> Iterator[Finding]:
    served = [i for i in host.interfaces if not i.loopback]
    if not served:
        yield broken("network", "there is no network interface", "plug one in, or add one")
    for interface in served:
        yield from _check_interface(interface)


def _check_interface(interface: Interface) -> Iterator[Finding]:
    name = interface.name
    if not interface.up:
        yield fine("network", f"{name} is down: nobody is served there")
        return
    if not interface.addresses:
        yield doubtful(
            "network",
            f"{name} has no IPv4 address: machines there get no answer",
            f"give {name} an address",
        )
    else:
        yield fine("network", f"{name} has {', '.join(interface.addresses)}")
    if interface.mtu < _ETHERNET:
        yield doubtful(
            "network",
            f"{name} takes packets of {interface.mtu} bytes: TFTP blocks arrive in fragments, "
            "which boot ROMs drop",
            f"ip link set {name} mtu {_ETHERNET}, if the network carries it",
        )


def check_firewall(host: Host) -> Iterator[Finding]:
    if host.ruleset is None:
        yield doubtful("firewall", f"nftables' rules could not be read: {host.why_not}")
        return
    names = [i.name for i in host.interfaces if i.up and not i.loopback] or [""]
    found = list(_closed(host, names))
    yield from found
    if not found:
        yield fine("firewall", "no nftables rule keeps machines out")


def _closed(host: Host, names: list[str]) -> Iterator[Finding]:
    for port in host.ports:
        for name in names:
            wanted = Wanted(protocol=port.protocol, port=port.number, interface=name)
            ruled = ruling(host.ruleset or {}, wanted)
            if ruled.verdict is Verdict.PASSED:
                continue
            what = f"{port.name} ({port.use}) on {name or 'any interface'}"
            remedy = f"let it in: {port.protocol} dport {port.number} accept, in {ruled.where}"
            if ruled.verdict is Verdict.DROPPED:
                yield broken("firewall", f"nftables drops {what}, in chain {ruled.where}", remedy)
            else:
                text = f"nftables may drop {what}, in chain {ruled.where}"
                yield doubtful("firewall", text, remedy)


def check_clock(host: Host) -> Iterator[Finding]:
    """Installed machines take their first time from what signs and dates their files."""
    if host.newest and host.newest > host.now + _SLACK:
        yield broken(
            "clock",
            f"it is {host.now:%Y-%m-%d %H:%M} UTC here, and the state has news of "
            f"{host.newest:%Y-%m-%d %H:%M}: certificates and time-outs go wrong",
            "set the clock, or start a time service",
        )
    elif host.synchronised is False:
        text = "no time service keeps the clock right"
        yield doubtful("clock", text, "start one: systemd-timesyncd, chrony")
    else:
        yield fine("clock", f"{host.now:%Y-%m-%d %H:%M} UTC")


def check_space(host: Host) -> Iterator[Finding]:
    gigabytes = f"{host.free / 1e9:.1f} GB free for the state"
    remedy = "`kairos-netboot images gc`, or a larger disk for --state"
    if host.free < _NO_SPACE:
        yield broken("disk", f"{gigabytes}: reports cannot be written soon", remedy)
    elif host.free < _LITTLE_SPACE:
        yield doubtful("disk", f"{gigabytes}: the next image may not fit", remedy)
    else:
        yield fine("disk", gigabytes)
