"""`serve`."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Annotated

import typer

from ..config.settings import ServeSettings
from ..serve.run import run
from .app import Common, set_up_logging


def ipv4_address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise typer.BadParameter(f"'{text}' is no IPv4 address: {error}") from None


def _env(name: str) -> str:
    return f"KAIROS_NETBOOT_{name}"


def serve(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option(help="Address to listen on.", envvar=_env("LISTEN"))
    ] = "0.0.0.0",
    interface: Annotated[
        list[str] | None,
        typer.Option(
            help="Answer DHCP only on this interface; may be given again.",
            envvar=_env("INTERFACE"),
        ),
    ] = None,
    advertise: Annotated[
        IPv4Address | None,
        typer.Option(
            parser=ipv4_address,
            metavar="ADDRESS",
            envvar=_env("ADVERTISE"),
            help="Our address as machines reach it, where it is not the interface's own.",
        ),
    ] = None,
    dhcp: Annotated[
        bool,
        typer.Option(
            help="Answer DHCP and TFTP; without, only HTTP is served.", envvar=_env("DHCP")
        ),
    ] = True,
    ipv6: Annotated[
        bool,
        typer.Option(help="Serve over IPv6, too, where this host has it.", envvar=_env("IPV6")),
    ] = True,
    dhcp_port: Annotated[int, typer.Option(min=0, max=65535, envvar=_env("DHCP_PORT"))] = 67,
    pxe_port: Annotated[int, typer.Option(min=0, max=65535, envvar=_env("PXE_PORT"))] = 4011,
    dhcp6_port: Annotated[int, typer.Option(min=0, max=65535, envvar=_env("DHCP6_PORT"))] = 547,
    tftp_port: Annotated[int, typer.Option(min=0, max=65535, envvar=_env("TFTP_PORT"))] = 69,
    http_port: Annotated[int, typer.Option(min=0, max=65535, envvar=_env("HTTP_PORT"))] = 8080,
    syslog: Annotated[
        bool,
        typer.Option(
            help="Take what machines log by syslog, and file it under them.", envvar=_env("SYSLOG")
        ),
    ] = False,
    syslog_port: Annotated[int, typer.Option(min=0, max=65535, envvar=_env("SYSLOG_PORT"))] = 514,
    loaders: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder of boot loaders that comes before the system's.",
            envvar=_env("LOADERS"),
        ),
    ] = None,
    user: Annotated[
        str,
        typer.Option(
            help="Whom to work as after binding, when started by root.", envvar=_env("USER")
        ),
    ] = "",
) -> None:
    """Answer firmware: proxy-DHCP, TFTP and HTTP, until it is stopped."""
    common: Common = context.obj
    set_up_logging(common.verbose)
    settings = ServeSettings(
        listen=listen,
        dhcp_port=dhcp_port,
        pxe_port=pxe_port,
        tftp_port=tftp_port,
        http_port=http_port,
        dhcp=dhcp,
        ipv6=ipv6,
        dhcp6_port=dhcp6_port,
        advertise=advertise,
        interfaces=frozenset(interface or ()),
        loaders=tuple(loaders or ()),
        user=user,
        syslog=syslog,
        syslog_port=syslog_port,
    )
    run(settings, common.state, typer.echo)
