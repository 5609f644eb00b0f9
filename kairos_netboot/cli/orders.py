"""`nodes boot | wipe | cancel`: what people order of one machine."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..boot.actions import Action, Order, disk_path, disks_of
from ..boot.fleet import Node
from ..boot.misfit import why_no_order
from ..errors import InvalidValue
from ..store.orders import cancel as take_back
from ..store.orders import order_wipe
from .app import Common, opened, say
from .nodes import app

_Name = Annotated[str, typer.Argument(help="The node's name.")]
_OTHERWISE = {Action.INSTALL: "nodes reinstall", Action.WIPE: "nodes wipe"}


@app.command()
def boot(
    context: typer.Context,
    name: _Name,
    action: Annotated[Action, typer.Argument(help="rescue, recovery, shell, local, ram or menu.")],
) -> None:
    """Do something else at a node's next boot from the network, once."""
    common: Common = context.obj
    if action in _OTHERWISE:
        raise InvalidValue(
            f"'{action}' destroys data: `kairos-netboot {_OTHERWISE[action]} {name}` orders it"
        )
    with opened(common.state) as store:
        fleet = store.fleet()
        if why := why_no_order(fleet, fleet.named(name), action):
            raise InvalidValue(why)
        node = store.set_order(name, Order(action=action), datetime.now(UTC))
    say(f"{node.name}: {action} at its next boot from the network, once")


@app.command()
def wipe(
    context: typer.Context,
    name: _Name,
    disk: Annotated[
        list[str] | None,
        typer.Option(
            help="A disk to erase, like /dev/disk/by-id/…; may be given again. Without: those of "
            "its profile."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a node's disks when it next boots from the network, once. Nothing brings them back."""
    common: Common = context.obj
    named = tuple(map(disk_path, disk or ()))
    with opened(common.state) as store:
        fleet = store.fleet()
        node = fleet.named(name)
        profile = fleet.profile_of(node)
        disks = named or (profile.disks if profile else ())
        if why := why_no_order(fleet, node, Action.WIPE):
            raise InvalidValue(why)
        if disks and not yes:
            _confirm(node, disks)
        with store.writing() as connection:
            node = order_wipe(connection, name, named, datetime.now(UTC))
    erased = ", ".join(disks_of(node.order, ()))
    say(f"{node.name} is {node.state}: {erased} will be erased at its next boot from the network")


def _confirm(node: Node, disks: tuple[str, ...]) -> None:
    """Raises InvalidValue unless a person types the node's name."""
    if not sys.stdin.isatty():
        raise InvalidValue(f"nobody is here to be asked whether to wipe {node.name}: say --yes")
    told = ", ".join(disks)
    typed = typer.prompt(f"All data on {told} of {node.name} will be lost. Type its name")
    if typed.strip() != node.name:
        raise InvalidValue(f"that is not {node.name}: nothing is ordered")


@app.command()
def cancel(context: typer.Context, name: _Name) -> None:
    """Take back what was ordered of a node, a wipe as well. What has begun goes on."""
    common: Common = context.obj
    with opened(common.state) as store, store.writing() as connection:
        node = take_back(connection, name, datetime.now(UTC))
    say(f"{node.name} is {node.state}, and nothing is ordered of it")
