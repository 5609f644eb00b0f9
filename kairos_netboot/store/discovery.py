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
from .nodes import MAX_DISCOVERED, add_node, append, read_node, set_facts
from .schema import macs, nodes


def discover(
    connection: Connection, seen: Mapping[Mac, Mapping[str, str]], at: datetime
) -> list[Node]:
    """Those that nobody named too, as long as there are not too many of them. The nodes as they
    now stand."""
    found = [_discover(connection, mac, at) for mac in seen]
    for node, facts in zip(found, seen.values(), strict=True):
        if node is not None:
            set_facts(connection, node, facts)
    return [read_node(connection, node) for node in found if node is not None]


def _discover(connection: Connection, mac: Mac, at: datetime) -> int | None:
    node = connection.execute(select(macs.c.node).where(macs.c.mac == mac)).scalar()
    if node is not None:
        return int(node)
    unnamed = select(func.count()).where(nodes.c.name.is_(None))
    if connection.execute(unnamed).scalar_one() >= MAX_DISCOVERED:
        return None
    node = add_node(connection, (mac,))
    sentence = "asked to boot from the network; nobody named it, so it got no answer"
    append(connection, Event(node=node, at=at, kind=Kind.DISCOVERED, text=sentence))
    return node
