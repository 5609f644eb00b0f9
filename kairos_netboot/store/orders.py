"""What people order: arm again, do something else at the next boot.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from ..boot.actions import Order
from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import Kind
from ..errors import UnknownName
from .nodes import append, close_boots, read_node, read_nodes, set_order


def rearm(connection: Connection, name: str, at: datetime) -> Node:
    """Raises UnknownName for a node that nobody named."""
    node = named_node(connection, name)
    sentence = "armed again by hand: installs when it next boots from the network"
    append(connection, Event(node=node.id, at=at, kind=Kind.REARMED, text=sentence))
    close_boots(connection, node.id)
    return read_node(connection, node.id)


def give_order(connection: Connection, name: str, order: Order | None, at: datetime) -> Node:
    """What the node does at its next boot; None takes it back. Raises UnknownName."""
    node = named_node(connection, name)
    set_order(connection, node.id, order)
    if order is not None:
        said = f"ordered by hand: {order.action} at its next boot from the network"
        append(connection, Event(node=node.id, at=at, kind=Kind.ORDERED, text=said))
    return read_node(connection, node.id)


def named_node(connection: Connection, name: str) -> Node:
    """By name or card; raises UnknownName for one that has no name."""
    node = Fleet(read_nodes(connection)).named(name)
    if node.spec is None:
        raise UnknownName(f"nobody named {name}: give it a node in the site file first")
    return node
