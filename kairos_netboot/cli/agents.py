"""`nodes upgrade | reboot | reset | run`: orders for the agents that phone home."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

import typer

from ..boot.actions import Action
from ..boot.fleet import Fleet, Node
from ..boot.fleetwork import RESTART_SECONDS, Phase
from ..boot.named import chosen
from ..cloudconfig.phone import may_run, phone_home_of
from ..errors import InvalidValue, UnknownName
from ..store.agents import Command, read_agents, read_commands
from ..store.store import Store
from .app import Common, opened, say
from .nodes import app
from .roll import Roll, RollStopped, order, roll

_Nodes = Annotated[
    list[str],
    typer.Argument(
        metavar="NODES",
        help="Names, PATTERN*, cluster=NAME, profile=NAME, role=server, LABEL=VALUE.",
    ),
]
# A server that restarts has all its agents back within a minute: they wait longer each time.
_GRACE_SECONDS = 120.0
_Timeout = Annotated[int, typer.Option(help="Seconds that one node may take.", min=1)]


@app.command()
def upgrade(
    context: typer.Context,
    nodes: _Nodes,
    image: Annotated[str, typer.Option(help="An image that is known here.")],
    max_unavailable: Annotated[int, typer.Option(help="How many may be away at once.", min=1)] = 1,
    recovery: Annotated[bool, typer.Option(help="The recovery system instead.")] = False,
    timeout: _Timeout = 1800,
) -> None:
    """Upgrade installed nodes, servers first, a few at a time; stops at the first that does not
    come back with its new system."""
    common: Common = context.obj
    command = "upgrade-recovery" if recovery else "upgrade"
    with opened(common.state) as store:
        fleet = store.fleet()
        wanted = _allowed(store, fleet, nodes, command)
        _refuse_memory(wanted)
        work = Roll(
            nodes=wanted,
            command=command,
            args={"source": _source(fleet, image)},
            max_unavailable=max_unavailable,
            timeout=float(timeout),
            restart_delay=RESTART_SECONDS,
            version=fleet.images[image].facts.version,
            grace=_GRACE_SECONDS,
        )
        with closing(roll(store, work)) as lines:
            for line in lines:
                say(line)
    say(f"{len(wanted)} of {len(wanted)} nodes have '{image}'")


def _refuse_memory(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if node.running is Action.RAM:
            raise InvalidValue(
                f"{node.name} runs from memory, so there is nothing to upgrade on it: give its "
                "profile the new image and restart it"
            )


def _source(fleet: Fleet, name: str) -> str:
    """By digest: whatever the name means tomorrow."""
    image = fleet.images.get(name)
    if image is None:
        raise UnknownName(f"no image '{name}' here: `kairos-netboot images list` shows all")
    if image.content is None:
        raise InvalidValue(
            f"image '{name}' has no layers here, so nothing can be upgraded to it: add the "
            "container image itself"
        )
    return f"artifact:{image.digest.hex}"


@app.command()
def reboot(context: typer.Context, nodes: _Nodes, timeout: _Timeout = 60) -> None:
    """Restart installed nodes, all at once, through their agents."""
    _order_all(context.obj, nodes, "reboot", {}, timeout)


@app.command()
def reset(
    context: typer.Context,
    nodes: _Nodes,
    yes: Annotated[bool, typer.Option("--yes", help="Their data may be lost.")] = False,
    timeout: _Timeout = 600,
) -> None:
    """Have Kairos reset installed nodes: their persistent data is erased, their config kept."""
    if not yes:
        raise InvalidValue("a reset erases the persistent data of these nodes: say --yes")
    _order_all(context.obj, nodes, "reset", {"reset-persistent": "true"}, timeout)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    nodes: Annotated[str, typer.Argument(help="As of `upgrade`, in one word.")],
    command: Annotated[list[str], typer.Argument(help="What is run, behind --.")],
    timeout: _Timeout = 60,
) -> None:
    """Run a command on installed nodes, where their `phone-home: {commands: […]}` has `exec`."""
    words = command[0] if len(command) == 1 else shlex.join(command)
    _order_all(context.obj, [nodes], "exec", {"command": words}, timeout)


def _order_all(
    common: Common, nodes: Sequence[str], name: str, args: dict[str, str], timeout: int
) -> None:
    """Order it of all, and wait for their answers; RollStopped where one failed."""
    with opened(common.state) as store:
        wanted = _allowed(store, store.fleet(), nodes, name)
        ids = {order(store, node, name, args): node for node in wanted}
        failed = _wait(store, ids, timeout)
    if failed:
        raise RollStopped(f"{name}: failed on {', '.join(sorted(failed))}")


def _allowed(store: Store, fleet: Fleet, nodes: Sequence[str], command: str) -> tuple[Node, ...]:
    """Those that are meant; InvalidValue where one of them could not obey."""
    wanted = tuple(chosen(fleet, nodes))
    with store.reading() as connection:
        agents = read_agents(connection)
    for node in wanted:
        phone = phone_home_of(fleet, node)
        if node.id not in agents:
            raise InvalidValue(
                f"{node.name} has no agent that phones home: `phone-home: {{enabled: true}}` in "
                "the site file gives it to nodes that are installed from then on"
            )
        if not may_run(phone, command):
            raise InvalidValue(
                f"{node.name} does not take '{command}': add it to `phone-home: {{commands: […]}}`"
                " and install the node with that"
            )
    return wanted


def _wait(store: Store, ids: dict[str, Node], timeout: int) -> list[str]:
    """The names of those that failed, or gave no answer in time."""
    failed, left = [], dict(ids)
    end = time.monotonic() + timeout
    while left and time.monotonic() < end:
        with store.reading() as connection:
            known = {command.id: command for command in read_commands(connection)}
        for number in list(left):
            command = known.get(number)
            if command is None or command.phase in (Phase.COMPLETED, Phase.FAILED):
                node = left.pop(number)
                failed += _told(node, command)
        time.sleep(0.2)
    for node in left.values():
        say(f"{node.name}: no answer within {timeout} s; it is carried out when its agent comes")
    return [*failed, *(node.name for node in left.values())]


def _told(node: Node, command: Command | None) -> list[str]:
    phase = command.phase if command else Phase.FAILED
    lines = command.result.splitlines() if command else ["its agent was taken back"]
    say(f"{node.name}: {phase.lower()}" + (f": {lines[0]}" if len(lines) == 1 else ""))
    for line in lines if len(lines) > 1 else ():
        say(f"  {line}")
    return [node.name] if phase is Phase.FAILED else []
