"""`nodes discovered | approve | deny | import | forget`: machines that nobody named."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import State
from ..boot.select import choice_for
from ..config.machines import read_machines
from ..config.selectors import is_label
from ..errors import InvalidValue
from ..store.approval import approve as approve_machine
from ..store.approval import deny as deny_machine
from ..store.approval import forget as forget_machine
from ..store.approval import import_machines
from ..store.discovery import first_events
from ..store.vendors import vendor_of, with_vendor
from ..values import printable
from .app import Common, clock, columns, opened, say
from .nodes import app

_LARGEST_TABLE = 16 * 1024 * 1024
Id = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A MAC address or its beginning, a serial number's, #NUMBER or a name."
    ),
]


@app.command()
def discovered(context: typer.Context) -> None:
    """Machines that asked and have no name: what they are, and what would become of them."""
    common: Common = context.obj
    with opened(common.state) as store:
        fleet = store.fleet()
        with store.reading() as connection:
            first = first_events(connection)
    waiting = [node for node in fleet.nodes if node.spec is None]
    if not waiting:
        say("no machine without a name has asked to boot from the network")
        return
    headings = ("ID", "MAC", "VENDOR", "MACHINE", "NETWORK", "FIRST SEEN", "LAST SEEN", "WAITS FOR")
    for line in columns([headings, *(_row(fleet, n, first.get(n.id)) for n in waiting)]):
        say(line)


def _row(fleet: Fleet, node: Node, first: Event | None) -> tuple[str, ...]:
    return (
        f"#{node.id}",
        ",".join(node.macs) or "-",
        next(filter(None, map(vendor_of, node.macs)), "-"),
        _machine(node),
        node.facts.get("network", "-"),
        clock(first.at) if first else "-",
        clock(node.seen) if node.seen else "-",
        _waits_for(fleet, node),
    )


def _machine(node: Node) -> str:
    """`Dell Inc. PowerEdge R650, serial 7XK2`, as far as it told."""
    words = [node.facts[key] for key in ("manufacturer", "product") if key in node.facts]
    name = " ".join(words) or " ".join(filter(None, (node.firmware, node.arch))) or "-"
    return f"{name}, serial {node.facts['serial']}" if "serial" in node.facts else name


def _waits_for(fleet: Fleet, node: Node) -> str:
    if node.denied:
        return "denied: `nodes approve` undoes it"
    best = choice_for(fleet, with_vendor(fleet, node))
    if best is None:
        return "no selector fits: `nodes approve --profile`"
    if fleet.unknown.approval:
        return f"approval: would get '{best.profile}' ({best.why})"
    if node.state is not State.DISCOVERED:
        return f"was {node.state} and is not named any more: `nodes approve`"
    return f"would get '{best.profile}', but see `nodes show {node.name}`"


@app.command()
def approve(
    context: typer.Context,
    machine: Id,
    profile: Annotated[str, typer.Option(help="Without it, the selectors choose.")] = "",
    name: Annotated[str, typer.Option(help="Without it, the profile's pattern gives one.")] = "",
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="For selectors and templates.")
    ] = None,
) -> None:
    """Name a machine that was discovered; one that was denied may boot again."""
    common: Common = context.obj
    labels = dict(map(_label, label or ()))
    with opened(common.state) as store, store.writing() as connection:
        now = datetime.now(UTC)
        lines = approve_machine(connection, machine, now, profile=profile, name=name, labels=labels)
    for line in lines:
        say(line)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    value = value.strip()
    if not is_label(key) or not equals or not value or value != printable(value):
        raise InvalidValue(f"'{printable(text, 80)}' is no label: write --label rack=r7")
    return key, value


@app.command()
def deny(context: typer.Context, machine: Id) -> None:
    """A machine gets nothing until it is approved."""
    common: Common = context.obj
    with opened(common.state) as store, store.writing() as connection:
        node = deny_machine(connection, machine, datetime.now(UTC))
    say(f"{node.name} is denied: it gets nothing until `kairos-netboot nodes approve {node.name}`")


@app.command("import")
def import_table(
    context: typer.Context,
    table: Annotated[str, typer.Argument(metavar="FILE.csv", help="A table, or - for stdin.")],
) -> None:
    """Name machines from a table: all of its lines, or none where one is wrong.

    Columns: mac, name, profile, label:KEY, uuid, serial, asset, cluster, role.
    """
    common: Common = context.obj
    text = _read(table)
    source = "stdin" if table == "-" else table
    with opened(common.state) as store, store.writing() as connection:
        lines = import_machines(
            connection, lambda fleet: read_machines(text, source, fleet), datetime.now(UTC)
        )
    for line in lines or ["nothing to change"]:
        say(line)


def _read(table: str) -> str:
    try:
        if table == "-":
            data = sys.stdin.buffer.read(_LARGEST_TABLE + 1)
        else:
            with Path(table).open("rb") as file:
                data = file.read(_LARGEST_TABLE + 1)
        if len(data) > _LARGEST_TABLE:
            raise InvalidValue(f"{table}: a table of machines has at most 16 MiB")
        return data.decode()
    except OSError as error:
        raise InvalidValue(f"cannot read {table}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidValue(
            f"{table} is not UTF-8, at byte {error.start}: save it as that"
        ) from None


@app.command()
def forget(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name, a MAC address, or #NUMBER.")],
) -> None:
    """Delete what is known of a machine that the site file does not name."""
    common: Common = context.obj
    with opened(common.state) as store, store.writing() as connection:
        node = forget_machine(connection, name)
    say(f"{node.name} is forgotten: its name stays its own, should it come back")
