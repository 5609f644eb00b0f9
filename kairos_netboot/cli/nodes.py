"""`nodes list | show | log | reinstall`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..boot.changes import armed_sentence
from ..boot.clusters import seat_of, waits_for
from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import MAX_BOOTS, MAY_INSTALL, Kind, State
from ..boot.overdue import OWN
from ..store.agents import Agent
from ..store.logs import INSTALLER, last_lines, lines_after
from ..store.store import Store
from ..values import Mac
from .agentrows import agent_cell, agent_rows, agents_of, command_rows
from .app import Common, clock, columns, opened, say, short_clock
from .follow import changes
from .restart import prepare_restart, restart
from .table import fitted, terminal_width

app = typer.Typer(help="The machines: their states and histories.", no_args_is_help=True)


@app.command("list")
def list_nodes(context: typer.Context) -> None:
    """Every machine that is named or has asked to boot."""
    common: Common = context.obj
    with opened(common.state) as store:
        last, nodes = store.last_events(), _sorted(store.fleet())
        more, cells = _more_columns(nodes, agents_of(store))
    rows = [_row(node, last.get(node.id), cells[node.id]) for node in nodes]
    if not rows:
        say("no machines yet: name some in a site file and `kairos-netboot apply` it")
        return
    headings = ("NAME", "STATE", "PROFILE", *more, "MAC", "LAST", "WHAT")
    for line in fitted(headings, rows, terminal_width(), _SPARE):
        say(line)


# What a narrow terminal can do without, in this order; `nodes show` has it all.
_SPARE = ("MAC", "LAST", "ADDRESSES", "VERSION", "PROFILE", "AGENT", "BOOT")


def _sorted(fleet: Fleet) -> list[Node]:
    """Named ones by name, then the rest."""
    return sorted(fleet.nodes, key=lambda node: (node.spec is None, node.name))


def _more_columns(
    nodes: Sequence[Node], agents: Mapping[int, Agent]
) -> tuple[tuple[str, ...], dict[int, tuple[str, ...]]]:
    """Headings and, by node, cells of what some of them have told: others' columns stay away."""
    now = datetime.now(UTC)
    told = {"BOOT": "boot-state", "VERSION": "version", "ADDRESSES": "addresses"}
    every = {title: {n.id: n.facts.get(fact) or "-" for n in nodes} for title, fact in told.items()}
    every["AGENT"] = {n.id: agent_cell(agents.get(n.id), now) for n in nodes}
    shown = {title: cells for title, cells in every.items() if {*cells.values()} - {"-"}}
    return tuple(shown), {n.id: tuple(cells[n.id] for cells in shown.values()) for n in nodes}


def _row(node: Node, last: Event | None, more: tuple[str, ...]) -> tuple[str, ...]:
    return (
        node.name,
        node.state,
        node.spec.profile if node.spec else "-",
        *more,
        ",".join(node.macs),
        short_clock(last.at, datetime.now(UTC)) if last else "-",
        _doing(node, last),
    )


def _doing(node: Node, last: Event | None) -> str:
    """The last event; how far an install is by now, where that is what it was about."""
    if last is None:
        return "-"
    progress = node.facts.get("progress")
    is_progress = last.kind is Kind.INSTALL_STEP and node.state is State.INSTALLING
    return f"installer: {progress}" if is_progress and progress else last.text


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
        facts = [("name", node.name), *_facts(fleet, node), *agent_rows(store, node.id)]
        said = [*_ordered(store, node), *_last_words(store, node)]
    rows = [(clock(event.at), _since(timeline[0], event), event.text) for event in timeline]
    if node.state is State.FAILED:
        facts.insert(2, ("did last", _did_last(timeline)))
    for line in (*columns(facts), "", *columns(rows), *said):
        say(line)


def _place(fleet: Fleet, node: Node) -> list[tuple[str, str]]:
    """Where it is in a cluster, and whom it waits for there."""
    seat = seat_of(fleet, node)
    if seat is None:
        return []
    place = f"{seat.cluster.name}, {seat.member.role} {seat.member.index}"
    waits = waits_for(fleet, node) if node.state in MAY_INSTALL else ""
    return [("cluster", place), *([("waiting", waits)] if waits else [])]


def _ordered(store: Store, node: Node) -> list[str]:
    rows = command_rows(store, node.id)
    return ["", "what its agent was ordered last:", *columns(rows)] if rows else []


# Of an installer that has failed; all that is kept is told by `nodes log`.
_LAST_WORDS = 40


def _last_words(store: Store, node: Node) -> list[str]:
    if node.state is not State.FAILED:
        return []
    with store.reading() as connection:
        lines = last_lines(connection, node.id, INSTALLER, _LAST_WORDS)
    return ["", "what its installer said last:", *(line.text for line in lines)] if lines else []


def _facts(fleet: Fleet, node: Node) -> list[tuple[str, str]]:
    profile = fleet.profiles.get(node.spec.profile) if node.spec else None
    rows = [("state", node.state), *(("MAC", f"{mac}{_vendor(mac)}") for mac in node.macs)]
    if node.spec:
        rows.append(("profile", node.spec.profile))
    if profile:
        rows.append(("image", profile.image))
    rows += _place(fleet, node)
    if node.state in (State.BOOTING, State.INSTALLING, State.FAILED):
        rows.append(("installer starts", f"{node.boots} of at most {MAX_BOOTS}"))
    if node.seen:
        rows.append(("last seen", clock(node.seen)))
    told = {k: v for k, v in node.facts.items() if v}
    if node.state is not State.INSTALLING:
        told.pop("progress", None)
    return [*rows, *sorted(told.items())]


def _did_last(timeline: tuple[Event, ...]) -> str:
    """How far a node that failed has come."""
    own = [event for event in timeline if event.kind in OWN - {Kind.LOG, Kind.INSTALL_FAILED}]
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


@app.command("log")
def show_log(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name, or a MAC address.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
) -> None:
    """What a machine said: the end of its installer's log, and by syslog."""
    common: Common = context.obj
    with opened(common.state) as store:
        node, told = store.fleet().named(name), 0
        for _ in changes(store, follow):
            with store.reading() as connection:
                lines = lines_after(connection, node.id, told)
            for line in lines:
                say(f"{clock(line.at)}   {line.source:9}   {line.text}")
                told = line.id
        if not told:
            say(f"{node.name} has said nothing: its installer's words come when it ends")


@app.command()
def reinstall(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name.")],
    now: Annotated[
        bool, typer.Option("--now", help="Restart it into the network, by its `power`.")
    ] = False,
) -> None:
    """Arm a node again: when it next boots from the network, its disk is overwritten, once."""
    common: Common = context.obj
    with opened(common.state) as store:
        prepared = prepare_restart(store, name) if now else None
        node = store.rearm(name, datetime.now(UTC))
        does = armed_sentence(store.fleet().profile_of(node))
        say(f"{node.name} is {node.state}: {does}")
        if prepared is not None:
            restart(store, node, prepared)
