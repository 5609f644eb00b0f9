"""Machines that ask: recorded, whether somebody named them or not.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select

from ..boot.fleet import Event, Node
from ..boot.lifecycle import Kind
from ..values import Mac
from .adoption import adopt
from .nodes import MAX_DISCOVERED, add_node, append, read_node, set_facts, set_seen, to_event
from .schema import events, macs, nodes


def discover(
    connection: Connection, seen: Mapping[Mac, Mapping[str, str]], at: datetime
) -> list[Node]:
    """Those that nobody named too, as long as there are not too many of them; those that what they
    told gives a name have it. The nodes as they now stand."""
    kept: dict[Mac, int] = {}
    for mac, facts in seen.items():
        node = _discover(connection, mac, at)
        if node is not None:
            set_facts(connection, node, facts)
            set_seen(connection, node, at)
            kept[mac] = node
    adopt(connection, kept.values(), at)
    return [read_node(connection, owner_of(connection, mac)) for mac in kept]


def _discover(connection: Connection, mac: Mac, at: datetime) -> int | None:
    node = connection.execute(select(macs.c.node).where(macs.c.mac == mac)).scalar()
    if node is not None:
        return int(node)
    unnamed = select(func.count()).where(nodes.c.name.is_(None))
    if connection.execute(unnamed).scalar_one() >= MAX_DISCOVERED:
        return None
    node = add_node(connection, (mac,))
    sentence = "asked to boot from the network; nobody named it"
    append(connection, Event(node=node, at=at, kind=Kind.DISCOVERED, text=sentence))
    return node


def owner_of(connection: Connection, mac: Mac) -> int:
    """Whose this card is now: its row may have become another's."""
    return int(connection.execute(select(macs.c.node).where(macs.c.mac == mac)).scalar_one())


def first_events(connection: Connection) -> dict[int, Event]:
    """The oldest event of each machine without a name."""
    unnamed = select(nodes.c.id).where(nodes.c.name.is_(None))
    oldest = select(func.min(events.c.id)).where(events.c.node.in_(unnamed))
    rows = connection.execute(select(events).where(events.c.id.in_(oldest.group_by(events.c.node))))
    return {row.node: to_event(row) for row in rows}
