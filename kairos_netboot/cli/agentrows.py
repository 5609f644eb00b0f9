"""What `nodes list` and `nodes show` tell of the agents that phone home."""

from __future__ import annotations

from datetime import UTC, datetime

from ..store.agents import Agent, Command, read_agents, read_commands
from ..store.store import Store
from .app import clock, short_clock

_SHOWN = 5  # of a node's last commands
_LONGEST = 60  # letters of an argument


def agents_of(store: Store) -> dict[int, Agent]:
    with store.reading() as connection:
        return read_agents(connection)


def agent_cell(agent: Agent | None, now: datetime) -> str:
    """Whether it is there, else when it was heard last."""
    if agent is None:
        return "-"
    return "connected" if agent.connected is not None else short_clock(_time(agent.seen), now)


def agent_rows(store: Store, node: int) -> list[tuple[str, str]]:
    """What is known of a node's agent; nothing where it has none."""
    agent = agents_of(store).get(node)
    if agent is None:
        return []
    rows = [("agent", _standing(agent)), ("agent registered", clock(_time(agent.registered)))]
    return rows + ([("agent version", agent.agent_version)] if agent.agent_version else [])


def _standing(agent: Agent) -> str:
    if agent.connected is None:
        return f"not connected, last heard {clock(_time(agent.seen))}"
    since = clock(_time(int(agent.connected)))
    return f"connected since {since}, last heard {clock(_time(agent.seen))}"


def command_rows(store: Store, node: int) -> list[tuple[str, ...]]:
    """Its last commands, the oldest first: when, what, how far, and the last line of the result."""
    with store.reading() as connection:
        commands = read_commands(connection, node)
    return [_row(command) for command in commands[-_SHOWN:]]


def _row(command: Command) -> tuple[str, ...]:
    words = [command.command, *(_cut(str(value)) for value in command.args.values())]
    last = command.result.rpartition("\n")[2]
    return (clock(_time(command.at)), " ".join(words), command.phase.lower(), _cut(last))


def _cut(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _LONGEST else one_line[: _LONGEST - 1] + "…"


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
