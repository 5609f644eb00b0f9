"""Rolling an upgrade through agents: by the store, which the server watches and writes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..boot.clusters import Role, member_of
from ..boot.fleet import Fleet, Node
from ..boot.fleetwork import Phase, Upgraded, next_step
from ..errors import NetbootError
from ..store.agents import (
    Agent,
    Command,
    add_command,
    read_agents,
    read_commands,
    withdraw,
)
from ..store.store import Store

_LOOK_SECONDS = 1.0


class RollStopped(NetbootError):
    """Not every node has what was ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """`version`: the image's, where it is known. `grace`: how long machines may be away on their
    own account before the roll stops for them. `clock` gives seconds since 1970; `pause` waits for
    so many."""

    nodes: tuple[Node, ...]
    command: str
    args: Mapping[str, str]
    max_unavailable: int
    timeout: float
    restart_delay: float
    version: str = ""
    grace: float = 0.0
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Ordered:
    """A command's id, and the version that its node ran before."""

    id: str
    version: str


def roll(store: Store, work: Roll) -> Generator[str, None, None]:
    """A line for each thing that happens; raises RollStopped with the reason. Whatever ends it,
    nothing that it ordered is carried out later."""
    ordered: dict[int, Ordered] = {}
    try:
        yield from _roll(store, work, ordered)
    finally:
        with store.writing() as connection:
            ids = [one.id for one in ordered.values()]
            withdraw(connection, ids, "the roll was stopped", int(work.clock()))


def _roll(store: Store, work: Roll, ordered: dict[int, Ordered]) -> Iterator[str]:
    told = {""}
    well = work.clock()  # when nothing stood in its way
    by_name = {node.name: node for node in work.nodes}
    while True:
        machines, now = _look(store, work, ordered), work.clock()
        yield from _news([_line(machine) for machine in machines], told)
        step = next_step(
            machines, max_unavailable=work.max_unavailable, now=now, timeout=work.timeout
        )
        if step.is_over:
            return
        if not step.stop:
            well = now
        elif not _is_for_others(machines) or now - well >= work.grace:
            raise RollStopped(f"stopped: {step.stop}")
        else:
            yield from _news([f"waiting: {step.stop}"], told)
        for name in step.order:
            ordered[by_name[name].id] = _order(store, by_name[name], work)
            yield f"{name}: {work.command} ordered"
        work.pause(_LOOK_SECONDS)


def _news(lines: Sequence[str], told: set[str]) -> Iterator[str]:
    for line in lines:
        if line not in told:
            told.add(line)
            yield line


def _is_for_others(machines: Sequence[Upgraded]) -> bool:
    """Whether all that was ordered has come out well, so it stops for who is away."""
    return all(machine.phase is None or machine.is_done for machine in machines)


def _order(store: Store, node: Node, work: Roll) -> Ordered:
    with store.reading() as connection:
        agent = read_agents(connection).get(node.id)
    number = order(store, node, work.command, work.args, work.clock())
    return Ordered(number, agent.version if agent else "")


def order(
    store: Store, node: Node, name: str, args: Mapping[str, str], at: float | None = None
) -> str:
    """The id of a command that its agent will be sent. `at`: now, where nothing is said."""
    now = int(time.time() if at is None else at)
    command = Command(
        id=secrets.token_hex(8),
        node=node.id,
        command=name,
        args=dict(args),
        phase=Phase.PENDING,
        at=now,
        changed=now,
    )
    with store.writing() as connection:
        add_command(connection, command)
    return command.id


def _look(store: Store, work: Roll, ordered: Mapping[int, Ordered]) -> list[Upgraded]:
    fleet = store.fleet()
    with store.reading() as connection:
        agents, commands = read_agents(connection), read_commands(connection)
    return [
        _machine(fleet, node, agents.get(node.id), commands, work, ordered) for node in work.nodes
    ]


def _machine(
    fleet: Fleet,
    node: Node,
    agent: Agent | None,
    commands: Sequence[Command],
    work: Roll,
    ordered: Mapping[int, Ordered],
) -> Upgraded:
    own = [command for command in commands if command.node == node.id]
    given = ordered.get(node.id)
    mine = next((command for command in own if given and command.id == given.id), None)
    member = member_of(fleet, node)
    return Upgraded(
        name=node.name,
        is_server=member is not None and member.role is Role.SERVER,
        skip=given is None and _has_it(own, agent, work),
        connected=agent.telling if agent and not _is_old(agent, given, work) else None,
        boot_state=agent.boot_state if agent else "",
        phase=mine.phase if mine else Phase.FAILED if given else None,
        ordered=mine.at if mine else 0.0,
        ended=mine.changed if mine and mine.phase is Phase.COMPLETED else None,
        result=mine.result.rpartition("\n")[2] if mine else "it was armed again",
        restarts=work.command == "upgrade",
        restart_delay=work.restart_delay,
    )


def _is_old(agent: Agent, given: Ordered | None, work: Roll) -> bool:
    """Whether it still runs the system of before its order: an agent may come anew before its
    machine restarts, as when this server does."""
    if given is None or work.command != "upgrade" or agent.boot_state != "active":
        return False
    return work.version not in ("", given.version) and agent.version == given.version


def _has_it(commands: Sequence[Command], agent: Agent | None, work: Roll) -> bool:
    """Whether the last upgrade was this one, and came up."""
    done = [c for c in commands if c.command == work.command and c.phase is Phase.COMPLETED]
    if not done or agent is None or dict(done[-1].args) != dict(work.args):
        return False
    return work.command != "upgrade" or agent.boot_state == "active"


def _line(machine: Upgraded) -> str:
    if machine.skip:
        return f"{machine.name}: has it already"
    if machine.is_done:
        return f"{machine.name}: done"
    if machine.phase is Phase.COMPLETED:
        return f"{machine.name}: restarts"
    return f"{machine.name}: {machine.phase.lower()}" if machine.phase else ""
