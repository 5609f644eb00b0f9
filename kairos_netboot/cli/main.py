"""`kairos-netboot`: options in front, one verb, errors as one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..errors import NetbootError
from . import (
    agents,
    bundle,
    clusters,
    discovered,
    doctor,
    events,
    explain,
    images,
    ipxe,
    logins,
    nodes,
    orders,
    power,
    replace,
    serve,
    site,
)
from .app import common

app = typer.Typer(
    help="Turn Kairos container images into running machines over the network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(images.app, name="images")
app.add_typer(nodes.app, name="nodes")
app.add_typer(clusters.app, name="clusters")
app.add_typer(bundle.app, name="bundle")
app.add_typer(ipxe.app, name="ipxe")
app.add_typer(logins.app, name="power")
app.command("apply")(site.apply)
app.command("schema")(site.schema)
app.command("serve")(serve.serve)
app.command("explain")(explain.explain)
app.command("doctor")(doctor.doctor)
app.command("events")(events.events)

# Modules that add their verbs to `nodes`.
_MORE_OF_NODES = (agents, discovered, orders, power, replace)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Where images, nodes and their history are kept.",
            envvar="KAIROS_NETBOOT_STATE",
            show_default="/var/lib/kairos-netboot for root, ~/.local/share/kairos-netboot else",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell the details.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = common(state, verbose)


def main() -> None:
    """The program's entry: exit 0, 1 for an error of ours, 2 for a wrong call, 130 for Ctrl-C."""
    try:
        app()
    except NetbootError as error:
        typer.echo(f"kairos-netboot: {error}", err=True)
        if error.details and {"-v", "--verbose"} & set(sys.argv):
            typer.echo(error.details, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `nodes list | head`
        sys.stderr.close()
        sys.exit(141)
