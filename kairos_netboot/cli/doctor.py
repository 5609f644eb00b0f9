"""`doctor`: what would keep machines from booting, found before they try."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ..boot.fleet import Fleet
from ..boot.network import DhcpMode
from ..config.shelf import Shelf, look_on_shelf
from ..doctor.fetch import check_http, check_tftp
from ..doctor.findings import WORDS, Finding, Level, broken, worst
from ..doctor.host import Host, Port, check_host
from ..doctor.look import look
from ..doctor.machines import check_machines
from ..doctor.rivals import check_rivals
from ..errors import StoreProblem
from ..store.store import Store
from .app import Common, opened, say

# Scripts go by these: nothing to do, machines will not come up, or some may not.
EXIT_CODES = {Level.FINE: 0, Level.BROKEN: 1, Level.DOUBTFUL: 3}


def _env(name: str) -> str:
    return f"KAIROS_NETBOOT_{name}"


def doctor(
    context: typer.Context,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            help="Look only at this interface; may be given again.", envvar=_env("INTERFACE")
        ),
    ] = None,
    dhcp_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("DHCP_PORT"))] = 67,
    pxe_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("PXE_PORT"))] = 4011,
    tftp_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("TFTP_PORT"))] = 69,
    http_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("HTTP_PORT"))] = 8080,
    loaders: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of boot loaders, as for `serve`.", envvar=_env("LOADERS")),
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Ask the network for other DHCP servers: one DISCOVER each.")
    ] = True,
) -> None:
    """Look for what would keep machines from booting. Exit code 0: nothing; 1: machines will not
    come up; 3: some may not. Changes nothing."""
    common: Common = context.obj
    ports = (
        Port(protocol="udp", number=dhcp_port, use="DHCP", option="--dhcp-port"),
        Port(protocol="udp", number=pxe_port, use="PXE boot server", option="--pxe-port"),
        Port(protocol="udp", number=tftp_port, use="TFTP", option="--tftp-port"),
        Port(protocol="tcp", number=http_port, use="HTTP", option="--http-port"),
    )
    found = []
    for finding in _findings(common.state, ports, interface or [], tuple(loaders or ()), probe):
        found.append(finding)
        _show(finding)
    level = worst(found)
    say(_SUMMARY[level].format(broken=_count(found, Level.BROKEN), doubts=_count(found, 1)))
    raise typer.Exit(EXIT_CODES[level])


_SUMMARY = {
    Level.FINE: "nothing stands in the way",
    Level.DOUBTFUL: "{doubts} to look at",
    Level.BROKEN: "{broken} that keep machines from booting, {doubts} more to look at",
}


def _count(found: Iterable[Finding], level: int) -> int:
    return sum(finding.level == level for finding in found)


def _show(finding: Finding) -> None:
    say(f"{WORDS[finding.level]:<5} {finding.about:<9} {finding.text}")
    if finding.remedy:
        say(f"{'':<15} → {finding.remedy}")


def _findings(
    state: Path, ports: tuple[Port, ...], only: list[str], folders: tuple[Path, ...], probe: bool
) -> Iterator[Finding]:
    fleet, newest = Fleet(), None
    try:
        with opened(state) as store:
            fleet, newest = store.fleet(), _newest(store)
    except StoreProblem as error:
        yield broken("state", str(error), "name the right folder with --state")
    host = _limited(look(ports, state, newest), only)
    shelf = look_on_shelf(folders, state)
    yield from check_host(host)
    yield from check_machines(fleet, shelf.names, shelf.missing)
    if probe:
        names = [i.name for i in host.interfaces if i.up and not i.loopback and i.addresses]
        yield from asyncio.run(check_rivals(names, fleet.dhcp.mode is DhcpMode.SERVER))
    yield from _fetched(host, shelf)


def _limited(host: Host, only: list[str]) -> Host:
    if not only:
        return host
    return replace(host, interfaces=tuple(i for i in host.interfaces if i.name in only))


def _newest(store: Store) -> datetime | None:
    return max((event.at for event in store.last_events().values()), default=None)


def _fetched(host: Host, shelf: Shelf) -> Iterator[Finding]:
    """From each of our addresses, where the ports are a running server's."""
    _, _, tftp, http = host.ports
    served = [a for i in host.interfaces if i.up and not i.loopback for a in i.addresses]
    for address in served:
        if tftp.is_ours and shelf.loaders.found:
            name, loader = min(shelf.loaders.found.items())
            yield from check_tftp(address, tftp.number, name, loader.data)
        if http.is_ours:
            yield from check_http(f"http://{address}:{http.number}")
