"""`nodes replace`: another machine in a node's place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ..boot.clusters import seat_of
from ..boot.site import Origin
from ..store.replacement import replace_node
from .app import Common, opened, say
from .nodes import app


@app.command()
def replace(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The node's name.")],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="The other machine: a MAC address, or its name.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Even where a system was installed on NEW.")
    ] = False,
) -> None:
    """Another machine takes a node's place: its name, role and secrets. It is armed."""
    common: Common = context.obj
    with opened(common.state) as store:
        with store.writing() as connection:
            lines = replace_node(connection, old, new, datetime.now(UTC), force=force)
        fleet = store.fleet()
    for line in lines:
        say(line)
    node = fleet.named(old)
    seat = seat_of(fleet, node)
    if seat and seat.founds and seat.standing.initialised:
        name = seat.cluster.name
        typer.echo(
            f"note: {node.name} is the only server of '{name}': it makes the cluster anew, empty",
            err=True,
        )
    if node.spec and node.spec.origin is Origin.SITE:
        macs = ", ".join(node.macs)
        typer.echo(f"note: write `macs: [{macs}]` for {old} into the site file", err=True)
