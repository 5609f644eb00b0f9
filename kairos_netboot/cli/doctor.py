"""`doctor`: what would keep machines from booting, found before they try."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

import typer

from ..doctor.examine import Questions, examine
from ..doctor.findings import WORDS, Finding, Level, worst
from .app import Common, say
from .serve import ipv4_address

# Scripts go by these: nothing to do, machines will not come up, or some may not.
EXIT_CODES = {Level.FINE: 0, Level.BROKEN: 1, Level.DOUBTFUL: 3}
_INDENT = " " * 16


def _env(name: str) -> str:
    return f"KAIROS_NETBOOT_{name}"


def doctor(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option(help="As for `serve`, like all up to --loaders.", envvar=_env("LISTEN"))
    ] = "0.0.0.0",
    interface: Annotated[
        list[str] | None,
        typer.Option(
            help="Look only at this interface; may be given again.", envvar=_env("INTERFACE")
        ),
    ] = None,
    advertise: Annotated[
        IPv4Address | None,
        typer.Option(parser=ipv4_address, metavar="ADDRESS", envvar=_env("ADVERTISE")),
    ] = None,
    dhcp: Annotated[bool, typer.Option(envvar=_env("DHCP"))] = True,
    ipv6: Annotated[bool, typer.Option(envvar=_env("IPV6"))] = True,
    dhcp_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("DHCP_PORT"))] = 67,
    pxe_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("PXE_PORT"))] = 4011,
    dhcp6_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("DHCP6_PORT"))] = 547,
    tftp_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("TFTP_PORT"))] = 69,
    http_port: Annotated[int, typer.Option(min=1, max=65535, envvar=_env("HTTP_PORT"))] = 8080,
    loaders: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of boot loaders.", envvar=_env("LOADERS")),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(help="Ask each network for other DHCP servers, by a few DISCOVERs."),
    ] = True,
) -> None:
    """Look for what would keep machines from booting. Exit code 0: nothing; 1: machines will not
    come up; 3: some may not. Changes nothing."""
    common: Common = context.obj
    asked = Questions(
        state=common.state,
        listen=listen,
        advertise=advertise,
        interfaces=tuple(interface or ()),
        loaders=tuple(loaders or ()),
        dhcp=dhcp,
        ipv6=ipv6,
        dhcp_port=dhcp_port,
        pxe_port=pxe_port,
        dhcp6_port=dhcp6_port,
        tftp_port=tftp_port,
        http_port=http_port,
        probe=probe,
    )
    # The worst last: there a person looks first.
    found = sorted(examine(asked), key=lambda finding: finding.level)
    for line in lines(found, _width()):
        say(line)
    raise typer.Exit(EXIT_CODES[worst(found)])


def _width() -> int | None:
    """None where there is no terminal: then each finding is one line, for grep."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lines(found: Iterable[Finding], width: int | None) -> Iterable[str]:
    """Findings, and what they come to."""
    kept = list(found)
    for finding in kept:
        head = f"{WORDS[finding.level]:<5} {finding.about:<9} "
        remedy = f"→ {finding.remedy}" if finding.remedy else ""
        if width is None:
            yield f"{head}{finding.text} {remedy}".rstrip()
            continue
        yield from _wrapped(f"{head}{finding.text}", width, first="")
        yield from _wrapped(remedy, width, first=_INDENT)
    yield _SUMMARY[worst(kept)].format(
        broken=_count(kept, Level.BROKEN), doubts=_count(kept, Level.DOUBTFUL)
    )


def _wrapped(text: str, width: int, *, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=_INDENT if not first else f"{_INDENT}  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


_SUMMARY = {
    Level.FINE: "nothing stands in the way of machines that boot from here",
    Level.DOUBTFUL: "{doubts} to look at: some machines may not come up",
    Level.BROKEN: "{broken} that keep machines from booting, {doubts} more to look at",
}


def _count(found: Iterable[Finding], level: Level) -> int:
    return sum(finding.level == level for finding in found)
