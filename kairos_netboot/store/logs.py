"""What machines said, line by line: their installers, and by syslog. Bounded for each node.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from .schema import logs, nodes

# Of a node; the oldest go first. A whole boot of kernel and systemd is about a thousand.
KEPT_LINES = 2000
INSTALLER = "installer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`id` grows; 0 before it is kept."""

    node: int
    at: datetime
    source: str
    text: str
    id: int = 0


def put_lines(connection: Connection, lines: Sequence[Line]) -> None:
    """Those of nodes that have gone meanwhile are dropped."""
    wanted = {line.node for line in lines}
    here = set(connection.execute(select(nodes.c.id).where(nodes.c.id.in_(wanted))).scalars())
    rows = [
        {"node": line.node, "at": line.at.isoformat(), "source": line.source, "text": line.text}
        for line in lines
        if line.node in here
    ]
    if rows:
        connection.execute(insert(logs), rows)
    for node in here:
        _forget_oldest(connection, node)


def _forget_oldest(connection: Connection, node: int) -> None:
    own = select(logs.c.id).where(logs.c.node == node).order_by(logs.c.id.desc())
    first_too_many = connection.execute(own.offset(KEPT_LINES).limit(1)).scalar()
    if first_too_many is not None:
        connection.execute(delete(logs).where(logs.c.node == node, logs.c.id <= first_too_many))


def put_report(connection: Connection, node: int, at: datetime, lines: Sequence[str]) -> None:
    """The installer's words. A report told twice is kept once."""
    kept = last_lines(connection, node, INSTALLER, len(lines))
    if [line.text for line in kept] != list(lines):
        put_lines(
            connection, [Line(node=node, at=at, source=INSTALLER, text=text) for text in lines]
        )


def last_lines(connection: Connection, node: int, source: str, count: int) -> list[Line]:
    """The newest of one source, the oldest of them first."""
    chosen = select(logs).where(logs.c.node == node, logs.c.source == source)
    rows = connection.execute(chosen.order_by(logs.c.id.desc()).limit(count)).all()
    return [_line(row) for row in reversed(rows)]


def lines_after(connection: Connection, node: int, after: int) -> list[Line]:
    """All of a node's from there on, the oldest first."""
    chosen = select(logs).where(logs.c.node == node, logs.c.id > after).order_by(logs.c.id)
    return [_line(row) for row in connection.execute(chosen)]


def _line(row: Row[Any]) -> Line:
    at = datetime.fromisoformat(row.at)
    return Line(id=row.id, node=row.node, at=at, source=row.source, text=row.text)
