"""All checks, in the order in which a person would make them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

from ..boot.fleet import Fleet
from ..boot.network import DhcpMode
from ..config.shelf import Shelf, look_on_shelf
from ..errors import StoreProblem
from ..server import udp6
from ..store.store import Store
from .facts import DHCP, DHCP6, HTTP, PXE, TFTP, Host, Port
from .fetch import check_http, check_tftp, check_tftp_answers
from .findings import Finding, broken, doubtful
from .host import check_host
from .look import look
from .machines import check_machines
from .rivals import check_rivals


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The settings that `serve` has, as far as they matter here; `probe`: ask the network."""

    state: Path
    listen: str = "0.0.0.0"
    advertise: IPv4Address | None = None
    interfaces: tuple[str, ...] = ()
    loaders: tuple[Path, ...] = ()
    dhcp: bool = True
    ipv6: bool = True
    dhcp_port: int = 67
    pxe_port: int = 4011
    dhcp6_port: int = 547
    tftp_port: int = 69
    http_port: int = 8080
    probe: bool = True


def examine(asked: Questions) -> Iterator[Finding]:
    fleet, newest = Fleet(), None
    try:
        if asked.state.exists():  # a store that is opened is made
            fleet, newest = _known(asked.state)
    except (StoreProblem, OSError) as error:
        remedy = "name the right folder with --state, or run the doctor as root"
        yield broken("state", f"{error}: no node and no profile is known", remedy)
    host = look(_ports(asked, fleet), asked.state, newest, fleet.dhcp)
    yield from _unknown_interfaces(host, asked)
    host = _limited(host, asked)
    shelf = look_on_shelf(asked.loaders, asked.state)
    yield from check_host(host)
    yield from check_machines(fleet, shelf.names, shelf.missing)
    if asked.probe:
        names = [i.name for i in host.interfaces if i.serves and i.has_link and i.usable]
        yield from asyncio.run(check_rivals(names, fleet.dhcp, _daemon_beside(host)))
    yield from _fetched(host, shelf, asked)


def _known(state: Path) -> tuple[Fleet, datetime | None]:
    store = Store(state)
    try:
        latest = max((event.at for event in store.last_events().values()), default=None)
        return store.fleet(), latest
    finally:
        store.close()


def _ports(asked: Questions, fleet: Fleet) -> tuple[Port, ...]:
    """Those that `serve` would open."""
    answers = asked.dhcp and fleet.dhcp.mode is not DhcpMode.OFF
    ports = [Port(protocol="tcp", number=asked.http_port, use=HTTP, option="--http-port")]
    if asked.dhcp:
        ports = [_udp(asked.tftp_port, TFTP, "--tftp-port"), *ports]
    if answers:
        dhcp = _udp(asked.dhcp_port, DHCP, "--dhcp-port")
        ports = [dhcp, _udp(asked.pxe_port, PXE, "--pxe-port"), *ports]
    if answers and asked.ipv6 and asked.listen == "0.0.0.0" and udp6.is_available():
        ports.append(replace(_udp(asked.dhcp6_port, DHCP6, "--dhcp6-port"), ipv6=True))
    return tuple(ports)


def _udp(number: int, use: str, option: str) -> Port:
    return Port(protocol="udp", number=number, use=use, option=option)


def _unknown_interfaces(host: Host, asked: Questions) -> Iterator[Finding]:
    there = [i.name for i in host.interfaces]
    for name in asked.interfaces:
        if name not in there:
            text = f"--interface {name}: there is none of that name here, only {', '.join(there)}"
            yield doubtful("network", text, "name one of these")


def _limited(host: Host, asked: Questions) -> Host:
    """To the interfaces that were asked for; DHCPv6 matters only where there is IPv6."""
    kept = tuple(i for i in host.interfaces if not asked.interfaces or i.name in asked.interfaces)
    has_ipv6 = any(i.serves and i.addresses6 for i in kept)
    ports = tuple(port for port in host.ports if has_ipv6 or not port.ipv6)
    return replace(host, interfaces=kept, ports=ports)


def _daemon_beside(host: Host) -> str:
    return next((port.holder for port in host.ports if port.use == DHCP and not port.is_ours), "")


def _fetched(host: Host, shelf: Shelf, asked: Questions) -> Iterator[Finding]:
    """From each address that machines are told, where the ports are a running server's."""
    running = {port.use: port.number for port in host.ports if port.is_ours}
    addresses = _addresses(host, asked)
    for address in addresses if TFTP in running else ():
        found = shelf.loaders.found
        if found and ":" not in address:
            name, loader = min(found.items(), key=lambda item: len(item[1].data))
            yield from check_tftp(address, running[TFTP], name, loader.data)
        else:
            yield from check_tftp_answers(address, running[TFTP])
    told = [str(asked.advertise)] if asked.advertise else []
    for address in dict.fromkeys([*addresses, *told]) if HTTP in running else ():
        shown = f"[{address}]" if ":" in address else address
        yield from check_http(f"http://{shown}:{running[HTTP]}")


def _addresses(host: Host, asked: Questions) -> list[str]:
    serving = [i for i in host.interfaces if i.serves and i.has_link]
    own = [str(interface.ip) for i in serving for interface in i.usable]
    if asked.listen != "0.0.0.0":
        return [asked.listen]
    return own + [str(a) for i in serving for a in i.addresses6 if asked.ipv6]
