"""`events`: what happens to all nodes, as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from ..boot.fleet import Fleet
from ..errors import InvalidValue
from ..store.events import Entry, change_by, entries_after, entry_before, newest_entry
from ..store.store import Store
from .app import Common, clock, opened, say
from .follow import changes

_BATCH = 1000
# Without `--since`: what a person who has just come wants to see.
_LAST = 20
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as events come; Ctrl-C ends it.")
    ] = False,
    node: Annotated[str, typer.Option(help="Of one node alone: its name, or a MAC address.")] = "",
    since: Annotated[
        str,
        typer.Option(metavar="30m|1h|2d", help="From so long ago on; without, the last 20 events."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """What happened to the nodes, the newest last."""
    common: Common = context.obj
    age = duration_of(since) if since else None
    with opened(common.state) as store:
        only = store.fleet().named(node).id if node else None
        told = _start(store, only, age)
        shown = _as_json if as_json else _as_line
        for _ in changes(store, follow):
            for number, line in _lines(store, only, told, shown):
                say(line)
                told = number


def duration_of(text: str) -> timedelta:
    """`90s`, `30m`, `1h`, `2d`; raises InvalidValue."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text, re.ASCII)
    if match is None:
        raise InvalidValue(f"'{text}' is no length of time: write it like 30m, 1h or 2d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _start(store: Store, only: int | None, age: timedelta | None) -> int:
    """The number of the last event that is not shown."""
    with store.reading() as connection:
        if age is not None:
            return entry_before(connection, (datetime.now(UTC) - age).isoformat())
        if only is None:
            return max(newest_entry(connection) - _LAST, 0)
        own = entries_after(connection, 0, limit=-1, node=only)
        return own[-_LAST].id - 1 if len(own) > _LAST else 0


_Shown = Callable[[Store, Fleet, Entry], str]


def _lines(store: Store, only: int | None, after: int, shown: _Shown) -> Iterator[tuple[int, str]]:
    """Each with the number of its event."""
    fleet = store.fleet()
    while True:
        with store.reading() as connection:
            entries = entries_after(connection, after, limit=_BATCH, node=only)
        for entry in entries:
            after = entry.id
            yield entry.id, shown(store, fleet, entry)
        if len(entries) < _BATCH:
            return


def _as_line(store: Store, fleet: Fleet, entry: Entry) -> str:
    event = entry.event
    return f"{clock(event.at)}   {_name(fleet, entry):20}   {event.text}"


def _as_json(store: Store, fleet: Fleet, entry: Entry) -> str:
    with store.reading() as connection:
        change = change_by(connection, entry)
    event = entry.event
    row = {
        "id": entry.id,
        "at": event.at.isoformat(),
        "node": _name(fleet, entry),
        "state": change.after,
        "event": event.kind,
        "text": event.text,
    }
    return json.dumps(row, ensure_ascii=False)


def _name(fleet: Fleet, entry: Entry) -> str:
    number = entry.event.node
    return next((node.name for node in fleet.nodes if node.id == number), f"#{number}")
