"""Kairos agents that phone home, and what they were ordered to do. Times in seconds since 1970.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..boot.fleetwork import Phase
from ..errors import InvalidValue
from .nodes import set_facts
from .schema import agents, commands, nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`connected`: since when, None while it is not; `telling`: since when it has told over this
    connection how it is, so `boot_state` is not of before a restart. `token`: the digest of the one
    that it registered with."""

    node: int
    machine_id: str
    registered: int
    seen: int
    boot_state: str
    token: str
    connected: float | None = None
    telling: float | None = None
    version: str = ""
    agent_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    id: str
    node: int
    command: str
    args: Mapping[str, Any] = field(default_factory=dict)
    phase: Phase
    result: str = ""
    at: int
    changed: int


# What a phase may be followed by; the last two are the end.
_NEXT = {
    Phase.PENDING: {Phase.SENT, Phase.FAILED},
    Phase.SENT: {Phase.RUNNING, Phase.COMPLETED, Phase.FAILED},
    Phase.RUNNING: {Phase.COMPLETED, Phase.FAILED},
}
OPEN = frozenset(_NEXT)
# A system with nothing persistent mounted has another machine id each time.
_FLEETING = frozenset({"recovery", "autoreset"})
# Of each node's, the newest are kept.
_KEPT = 100


def register(
    connection: Connection, node: int, token: str, key: str, told: Agent, facts: Mapping[str, str]
) -> None:
    """Give the node's agent a new key, by its digest; the one before is good for nothing any more.

    Raises InvalidValue where the token, the digest of it, is another machine's already, or of an
    earlier boot than the one whose agent has registered. A machine that we had reset has a new
    machine id.
    """
    keys = connection.execute(select(nodes.c.phone_keys).where(nodes.c.id == node)).scalar_one()
    if token not in keys:
        raise InvalidValue("its token is of no present boot")
    known = read_agents(connection).get(node)
    if known is not None and known.token in keys:
        if keys.index(token) < keys.index(known.token):
            raise InvalidValue("its token is of an earlier boot than its agent's")
        if token == known.token and known.machine_id not in ("", told.machine_id):
            raise InvalidValue("its token was used by another machine already")
        if not known.machine_id and told.boot_state in _FLEETING:
            told = replace(told, machine_id="")  # the system that comes after it binds
    row = {
        "node": node,
        "key": key,
        "machine_id": told.machine_id,
        "registered": told.registered,
        "seen": told.seen,
        "boot_state": told.boot_state,
        "told": _told(told),
    }
    made = sqlite_insert(agents).values(row)
    connection.execute(made.on_conflict_do_update(index_elements=["node"], set_=row))
    set_facts(connection, node, facts)


def _told(agent: Agent) -> dict[str, Any]:
    return {
        "token": agent.token,
        "connected": agent.connected,
        "telling": agent.telling,
        "version": agent.version,
        "agent_version": agent.agent_version,
    }


def read_agents(connection: Connection) -> dict[int, Agent]:
    """By node; those whose key was taken back too."""
    rows = connection.execute(select(agents)).mappings()
    return {row["node"]: _agent(row) for row in rows}


def _agent(row: RowMapping) -> Agent:
    return Agent(
        node=row["node"],
        machine_id=row["machine_id"],
        registered=row["registered"],
        seen=row["seen"],
        boot_state=row["boot_state"],
        **row["told"],
    )


def node_of_key(connection: Connection, key: str) -> int | None:
    """Whose agent has this key, by its digest."""
    found = select(agents.c.node).where(agents.c.key == key, agents.c.key != "")
    return connection.execute(found).scalar()


def read_keys(connection: Connection) -> dict[int, str]:
    """The digest of each node's agent's key."""
    return {row.node: row.key for row in connection.execute(select(agents.c.node, agents.c.key))}


def keep(connection: Connection, agent: Agent, key: str, facts: Mapping[str, str]) -> None:
    """What it has told since. Nothing where its key, the digest of it, was taken back."""
    row = {"seen": agent.seen, "boot_state": agent.boot_state, "told": _told(agent)}
    mine = (agents.c.node == agent.node, agents.c.key == key)
    kept = connection.execute(update(agents).where(*mine).values(row))
    if facts and kept.rowcount:
        set_facts(connection, agent.node, facts)


def forget_connections(connection: Connection) -> None:
    """When the server starts nobody is connected."""
    for agent in read_agents(connection).values():
        row = {"told": {**_told(agent), "connected": None, "telling": None}}
        connection.execute(update(agents).where(agents.c.node == agent.node).values(row))


def add_command(connection: Connection, command: Command) -> None:
    row = {
        "id": command.id,
        "node": command.node,
        "command": command.command,
        "args": dict(command.args),
        "phase": command.phase,
        "result": command.result,
        "at": command.at,
        "changed": command.changed,
    }
    connection.execute(insert(commands).values(row))
    newest = select(commands.c.id).where(commands.c.node == command.node)
    newest = newest.order_by(commands.c.at.desc(), commands.c.id.desc()).limit(_KEPT)
    old = commands.c.node == command.node, commands.c.id.not_in(newest), ~_open()
    connection.execute(delete(commands).where(*old))


def _open() -> Any:
    return commands.c.phase.in_([phase.value for phase in OPEN])


def read_commands(connection: Connection, node: int | None = None) -> list[Command]:
    """The oldest first; of all nodes where none is named."""
    wanted = select(commands).order_by(commands.c.at, commands.c.id)
    if node is not None:
        wanted = wanted.where(commands.c.node == node)
    return [_command(row) for row in connection.execute(wanted).mappings()]


def open_commands(connection: Connection) -> list[Command]:
    """Those that have not come to their end."""
    wanted = select(commands).where(_open()).order_by(commands.c.at, commands.c.id)
    return [_command(row) for row in connection.execute(wanted).mappings()]


def _command(row: RowMapping) -> Command:
    return Command(**{**row, "phase": Phase(row["phase"])})


def go_on(connection: Connection, told: Command) -> bool:
    """Put a command into `told.phase`. False where it is no command of that node's, or its phase
    cannot follow the one it is in: a replay, or somebody else's."""
    where = (commands.c.id == told.id, commands.c.node == told.node)
    known = select(commands.c.phase, commands.c.command).where(*where)
    found = connection.execute(known).one_or_none()
    if found is None or told.phase not in _NEXT.get(Phase(found.phase), ()):
        return False
    row = {"phase": told.phase, "result": told.result, "changed": told.changed}
    connection.execute(update(commands).where(*where).values(row))
    if found.command == "reset" and told.phase is Phase.COMPLETED:
        _unbind(connection, told.node)
    return True


def _unbind(connection: Connection, node: int) -> None:
    """A reset erases the machine id and the agent's key with all that is persistent: its agent
    registers anew, as a machine that we have not seen."""
    connection.execute(update(agents).where(agents.c.node == node).values(machine_id=""))


def withdraw(connection: Connection, ids: Iterable[str], why: str, now: int) -> None:
    """Those that were not sent yet are not sent any more."""
    pending = commands.c.id.in_(list(ids)), commands.c.phase == Phase.PENDING
    row = {"phase": Phase.FAILED, "result": why, "changed": now}
    connection.execute(update(commands).where(*pending).values(row))
