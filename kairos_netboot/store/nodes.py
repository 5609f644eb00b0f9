"""Nodes and their events. The event log is the truth; a node's state is its fold, kept beside it.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..boot.actions import Action, Order
from ..boot.fleet import Event, Node
from ..boot.lifecycle import MAY_WIPE, SETTLED, Kind, State, fold
from ..boot.site import Image
from ..boot.tokens import BootTokens
from ..values import Mac
from .rows import from_order, to_order, to_spec
from .schema import agents, commands, events, macs, nodes, settled_macs

# How many machines nobody named are kept: a broken or hostile network must not fill the disk.
MAX_DISCOVERED = 4096
# A node that runs from memory begins a boot a day for years; nobody waits for the oldest.
_KEYS_KEPT = 16


def read_nodes(connection: Connection) -> tuple[Node, ...]:
    owned: dict[int, list[Mac]] = {}
    for row in connection.execute(select(macs).order_by(macs.c.mac)):
        owned.setdefault(row.node, []).append(Mac(row.mac))
    rows = connection.execute(select(nodes).order_by(nodes.c.id)).mappings()
    return tuple(_node(row, tuple(owned.get(row["id"], ()))) for row in rows)


def read_node(connection: Connection, node: int) -> Node:
    row = connection.execute(select(nodes).where(nodes.c.id == node)).mappings().one()
    owned = connection.execute(select(macs.c.mac).where(macs.c.node == node).order_by(macs.c.mac))
    return _node(row, tuple(Mac(mac) for (mac,) in owned))


def _node(row: RowMapping, owned: tuple[Mac, ...]) -> Node:
    return Node(
        id=row["id"],
        macs=owned,
        state=State(row["state"]),
        spec=to_spec(row["name"], row["spec"]) if row["spec"] else None,
        boots=row["boots"],
        document_key=row["document_key"],
        report_keys=frozenset(row["report_keys"]),
        facts=row["facts"],
        phone_keys=frozenset(row["phone_keys"]),
        running=Action(row["running"]) if row["running"] else None,
        order=to_order(row["action_order"]),
        denied=row["denied"],
        seen=datetime.fromtimestamp(row["seen"], UTC) if row["seen"] is not None else None,
    )


def append(connection: Connection, event: Event, once: str | None = None) -> bool:
    """Write one event and fold it into its node's state.

    False where `once` was there already, or the node is gone: made one with another meanwhile.
    """
    owner = nodes.c.id == event.node
    row = connection.execute(select(nodes.c.state, nodes.c.boots).where(owner)).one_or_none()
    if row is None or not _write(connection, event, once):
        return False
    state, boots = fold(State(row.state), row.boots, event.kind)
    connection.execute(update(nodes).where(owner).values(state=state, boots=boots))
    if State(row.state) in MAY_WIPE and state not in MAY_WIPE:
        set_order(connection, event.node, None)  # to wipe: done, or taken back
    if state in SETTLED:
        cards = select(macs.c.mac).where(macs.c.node == event.node)
        settle = sqlite_insert(settled_macs).from_select(["mac"], cards)
        connection.execute(settle.prefix_with("OR IGNORE"))
    return True


def _write(connection: Connection, event: Event, once: str | None) -> bool:
    row = {
        "node": event.node,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "text": event.text,
        "once": once,
    }
    written = connection.execute(sqlite_insert(events).values(row).on_conflict_do_nothing())
    return written.rowcount > 0


def read_timeline(connection: Connection, node: int) -> tuple[Event, ...]:
    rows = connection.execute(select(events).where(events.c.node == node).order_by(events.c.id))
    return tuple(map(to_event, rows))


def to_event(row: Row[Any]) -> Event:
    at = datetime.fromisoformat(row.at)
    return Event(node=row.node, at=at, kind=Kind(row.kind), text=row.text)


def last_events(connection: Connection) -> dict[int, Event]:
    """The newest event of each node."""
    newest = select(func.max(events.c.id)).group_by(events.c.node)
    rows = connection.execute(select(events).where(events.c.id.in_(newest)))
    return {row.node: to_event(row) for row in rows}


def open_boot(
    connection: Connection, node: int, tokens: BootTokens, image: Image, action: Action
) -> None:
    """From now on the document is this boot's alone; those of earlier ones may still be at work,
    and so their reports are heard and their files kept. A boot of what destroys nothing leaves the
    reports of the system on the disk alone. It takes an order back; what says which disks to
    wipe stands until they are."""
    columns = (nodes.c.report_keys, nodes.c.boot_files, nodes.c.phone_keys)
    known = connection.execute(select(*columns).where(nodes.c.id == node)).one()
    earlier = known.boot_files if action is Action.INSTALL else ()
    digests = (*earlier, *(blob.digest for blob in image.blobs()))
    has_agent = action in (Action.INSTALL, Action.RAM)
    phone_keys = [*known.phone_keys, *([tokens.phone_key] if has_agent else [])]
    row = {
        "document_key": tokens.document_key,
        "report_keys": [*known.report_keys, tokens.report_key][-_KEYS_KEPT:],
        "boot_files": list(dict.fromkeys(digests)),
        "phone_keys": phone_keys[-_KEYS_KEPT:],
        "running": action,
        **({} if action is Action.WIPE else {"action_order": None}),
    }
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))


def close_document(connection: Connection, node: int) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node).values(document_key=""))


def close_boots(connection: Connection, node: int) -> None:
    """Nobody is at work on it any more: no report is heard, no file kept for it, and the key of the
    system that was on its disk is good for nothing. What that was ordered is not the next one's."""
    connection.execute(delete(agents).where(agents.c.node == node))
    connection.execute(delete(commands).where(commands.c.node == node))
    row: dict[str, object] = {"document_key": "", "running": "", "action_order": None}
    row |= {"report_keys": [], "boot_files": [], "phone_keys": []}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))


def set_order(connection: Connection, node: int, order: Order | None) -> None:
    """What a person wants of its next boot."""
    row = {"action_order": from_order(order)}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))


def any_settled(connection: Connection, owned: Iterable[Mac]) -> bool:
    """Whether one of these cards was a machine's that has been installed, or has failed."""
    found = select(settled_macs.c.mac).where(settled_macs.c.mac.in_(list(owned)))
    return connection.execute(found).first() is not None


def set_facts(connection: Connection, node: int, facts: Mapping[str, str]) -> None:
    """Newer facts over older ones."""
    known = connection.execute(select(nodes.c.facts).where(nodes.c.id == node)).scalar_one()
    connection.execute(update(nodes).where(nodes.c.id == node).values(facts={**known, **facts}))


def set_seen(connection: Connection, node: int, at: datetime) -> None:
    """When it was there last."""
    row = {"seen": int(at.timestamp())}
    connection.execute(update(nodes).where(nodes.c.id == node).values(row))


def add_node(connection: Connection, owned: tuple[Mac, ...]) -> int:
    """A row for a machine not seen before, in state `discovered`; its id."""
    row = {"state": State.DISCOVERED, "facts": {}, "boots": 0, "report_keys": []}
    node = int(connection.execute(insert(nodes).values(row).returning(nodes.c.id)).scalar_one())
    give_macs(connection, node, owned)
    return node


def give_macs(connection: Connection, node: int, owned: tuple[Mac, ...]) -> None:
    """These MACs are this node's from now on, whoever had them before."""
    for mac in owned:
        connection.execute(
            sqlite_insert(macs)
            .values(mac=mac, node=node)
            .on_conflict_do_update(index_elements=["mac"], set_={"node": node})
        )


def set_macs(connection: Connection, node: int, owned: tuple[Mac, ...]) -> None:
    """Exactly these MACs are the node's from now on."""
    connection.execute(delete(macs).where(macs.c.node == node, macs.c.mac.not_in(owned)))
    give_macs(connection, node, owned)


def absorb(connection: Connection, node: int, other: int) -> None:
    """Another card of the same machine: its events go to the node's timeline, its row goes."""
    connection.execute(
        # `once` was unique within the other node only.
        update(events).where(events.c.node == other).values(node=node, once=None)
    )
    files = select(nodes.c.boot_files).where(nodes.c.id.in_([node, other]))
    both = {digest: None for (kept,) in connection.execute(files) for digest in kept}
    connection.execute(update(nodes).where(nodes.c.id == node).values(boot_files=list(both)))
    connection.execute(delete(nodes).where(nodes.c.id == other))
