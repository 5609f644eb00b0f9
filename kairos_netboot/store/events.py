"""The log of all nodes' events, read on from where somebody has come to.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ..boot.fleet import Event
from ..boot.lifecycle import TABLE, Kind, State, advance
from .nodes import to_event
from .schema import events

_CHANGING = sorted({kind for _, kind in TABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event by its number in the log; numbers grow."""

    id: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an event did to its node's state."""

    before: State
    after: State


def newest_entry(connection: Connection) -> int:
    """Its number; 0 for an empty log."""
    return int(connection.execute(select(func.coalesce(func.max(events.c.id), 0))).scalar_one())


def entries_after(
    connection: Connection, after: int, *, limit: int, node: int | None = None
) -> list[Entry]:
    """The oldest first."""
    chosen = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
    if node is not None:
        chosen = chosen.where(events.c.node == node)
    rows = connection.execute(chosen)
    return [Entry(id=row.id, event=to_event(row)) for row in rows]


def entry_before(connection: Connection, moment: str) -> int:
    """The number of the last one from before a time, as `at` is written; 0 where there is none."""
    found = select(func.coalesce(func.max(events.c.id), 0)).where(events.c.at < moment)
    return int(connection.execute(found).scalar_one())


def change_by(connection: Connection, entry: Entry) -> Change:
    """The log says it: a node's state is the fold of its events."""
    earlier = (
        select(events.c.kind)
        .where(events.c.node == entry.event.node, events.c.id < entry.id)
        .where(events.c.kind.in_(_CHANGING))
        .order_by(events.c.id)
    )
    before = State.DISCOVERED
    for (kind,) in connection.execute(earlier):
        before = advance(before, Kind(kind))
    return Change(before=before, after=advance(before, entry.event.kind))


def last_of(connection: Connection, node: int, kinds: Iterable[Kind]) -> Event | None:
    """A node's newest event of these kinds."""
    chosen = select(events).where(events.c.node == node, events.c.kind.in_(sorted(kinds)))
    row = connection.execute(chosen.order_by(events.c.id.desc()).limit(1)).one_or_none()
    return to_event(row) if row is not None else None
