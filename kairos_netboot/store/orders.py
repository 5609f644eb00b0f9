"""What people order: arm again, do something else at the next boot.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from ..boot.actions import Action, Order
from ..boot.changes import armed_sentence
from ..boot.fleet import Event, Fleet, Node
from ..boot.lifecycle import MAY_WIPE, Kind
from ..errors import InvalidValue, UnknownName
from .nodes import append, close_boots, read_node, read_nodes, set_order
from .site import read_profiles


def rearm(connection: Connection, name: str, at: datetime) -> Node:
    """Raises UnknownName for a node that nobody named."""
    node = named_node(connection, name)
    profile = read_profiles(connection).get(node.spec.profile) if node.spec else None
    sentence = f"armed again by hand: {armed_sentence(profile)}"
    append(connection, Event(node=node.id, at=at, kind=Kind.REARMED, text=sentence))
    close_boots(connection, node.id)
    return read_node(connection, node.id)


def give_order(connection: Connection, name: str, order: Order | None, at: datetime) -> Node:
    """What the node does at its next boot; None takes it back. Raises UnknownName, and
    InvalidValue for what destroys, and while its disks are to be wiped."""
    node = named_node(connection, name)
    if order is not None:
        if order.action in (Action.INSTALL, Action.WIPE):
            raise InvalidValue(f"'{order.action}' destroys data: it has an order of its own")
        if node.state in MAY_WIPE:
            raise InvalidValue(
                f"{name} is to be wiped: `kairos-netboot nodes cancel {name}` takes that back"
            )
        said = f"ordered by hand: {order.action} at its next boot from the network"
        append(connection, Event(node=node.id, at=at, kind=Kind.ORDERED, text=said))
    set_order(connection, node.id, order)
    return read_node(connection, node.id)


def order_wipe(connection: Connection, name: str, disks: tuple[str, ...], at: datetime) -> Node:
    """At its next boot from the network these are erased; `disks` empty: those of its profile.
    Raises UnknownName, and InvalidValue where nobody names a disk."""
    node = named_node(connection, name)
    profile = read_profiles(connection).get(node.spec.profile) if node.spec else None
    named = disks or (profile.disks if profile else ())
    if not named:
        raise InvalidValue(
            f"which disks of {name}? Name them with --disk, or as `disks` of its profile"
        )
    said = f"ordered by hand: {', '.join(named)} will be erased at its next boot from the network"
    append(connection, Event(node=node.id, at=at, kind=Kind.WIPE_ORDERED, text=said))
    # Whoever is at work on it now reports to nobody any more.
    close_boots(connection, node.id)
    set_order(connection, node.id, Order(action=Action.WIPE, disks=named))
    return read_node(connection, node.id)


def cancel(connection: Connection, name: str, at: datetime) -> Node:
    """Take an order back, to wipe as well. Raises UnknownName, and InvalidValue where there is
    none."""
    node = named_node(connection, name)
    if node.state in MAY_WIPE:
        said = "taken back by hand: its disks are not to be erased"
        append(connection, Event(node=node.id, at=at, kind=Kind.DISARMED, text=said))
        close_boots(connection, node.id)
    elif node.order is not None:
        said = f"taken back by hand: no {node.order.action} at its next boot"
        append(connection, Event(node=node.id, at=at, kind=Kind.ORDERED, text=said))
        set_order(connection, node.id, None)
    else:
        raise InvalidValue(f"nothing is ordered of {name}: it is {node.state}")
    return read_node(connection, node.id)


def named_node(connection: Connection, name: str) -> Node:
    """By name or card; raises UnknownName for one that has no name."""
    node = Fleet(read_nodes(connection)).named(name)
    if node.spec is None:
        raise UnknownName(f"nobody named {name}: give it a node in the site file first")
    return node
