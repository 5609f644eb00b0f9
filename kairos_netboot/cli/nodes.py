"""`nodes list | show | reinstall`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import MAX_BOOTS, Kind, State
from ..values import Mac
from .app import Common, clock, columns, opened, say

app = typer.Typer(help="The machines: their states and histories.", no_args_is_help=True)


@app.command("list")
def list_nodes(context: typer.Context) -> None:
    """Every machine that is named or has asked to boot."""
    common: Common = context.obj
    with opened(common.state) as store:
        last = store.last_events()
        rows = [_row(node, last.get(node.id)) for node in _sorted(store.fleet())]
    if not rows:
        say("no machines yet: name some in a site file and `kairos-netboot apply` it")
        return
    headings = ("NAME", "STATE", "PROFILE", "MAC", "LAST EVENT", "WHAT")
    for line in columns([headings, *rows]):
        say(line)


def _sorted(fleet: Fleet) -> list[Node]:
    """Named ones by name, then the rest."""
    return sorted(fleet.nodes, key=lambda node: (node.spec is None, node.name))


def _row(node: Node, last: Event | None) -> tuple[str, ...]:
    return (
        node.spec.name if node.spec else "-",
        node.state,
        node.spec.profile if node.spec else "-",
        ",".join(node.macs),
        clock(last.at) if last else "-",
        last.text if last else "-",
    )


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name, or a MAC address.")],
) -> None:
    """What is known of one machine, and all that happened to it."""
    common: Common = context.obj
    with opened(common.state) as store:
        fleet = store.fleet()
        node = fleet.named(name)
        timeline = store.timeline(node.id)
    rows = [(clock(event.at), _since(timeline[0], event), event.text) for event in timeline]
    facts = [("name", node.name), *_facts(fleet, node)]
    if node.state is State.FAILED:
        facts.insert(2, ("did last", _did_last(timeline)))
    for line in (*columns(facts), "", *columns(rows)):
        say(line)


def _facts(fleet: Fleet, node: Node) -> list[tuple[str, str]]:
    profile = fleet.profiles.get(node.spec.profile) if node.spec else None
    rows = [("state", node.state), *(("MAC", f"{mac}{_vendor(mac)}") for mac in node.macs)]
    if node.spec:
        rows.append(("profile", node.spec.profile))
    if profile:
        rows.append(("image", profile.image))
    if node.state in (State.BOOTING, State.INSTALLING, State.FAILED):
        rows.append(("installer starts", f"{node.boots} of at most {MAX_BOOTS}"))
    return [*rows, *sorted(node.facts.items())]


# What the machine itself did, as against what was done about it.
_ITS_OWN = (
    Kind.BOOT_STARTED,
    Kind.FILE,
    Kind.DOCUMENT,
    Kind.INSTALL_STARTED,
    Kind.INSTALL_STEP,
    Kind.BOOT_FAILED,
)


def _did_last(timeline: tuple[Event, ...]) -> str:
    """How far a node that failed has come."""
    own = [event for event in timeline if event.kind in _ITS_OWN]
    return f"{own[-1].text}, {clock(own[-1].at)}" if own else "nothing"


def _vendor(mac: Mac) -> str:
    """` (Intel Corporate)`, from the IEEE's registry; empty for a card that is in none."""
    import netaddr  # its registry takes a moment to load

    try:
        return f" ({netaddr.EUI(mac).oui.registration().org})"
    except netaddr.NotRegisteredError:
        return ""


def _since(first: Event, event: Event) -> str:
    """`+01:23`: how long after the timeline's first line."""
    seconds = int((event.at - first.at).total_seconds())
    if seconds >= 24 * 3600:
        return f"+{seconds // 86400}d"
    return f"+{seconds // 60:02}:{seconds % 60:02}"


@app.command()
def reinstall(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name.")],
) -> None:
    """Arm a node again: when it next boots from the network, its disk is overwritten, once."""
    common: Common = context.obj
    with opened(common.state) as store:
        node = store.rearm(name, datetime.now(UTC))
    say(f"{node.name} is {node.state}: it installs when it next boots from the network")
