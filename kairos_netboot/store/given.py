"""Names that machines were given here, for ever.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.sqlite import insert

from ..values import Mac
from .schema import given_names, nodes


def given_to(connection: Connection, owned: Iterable[Mac]) -> str | None:
    """The name that the machine with one of these cards was given last."""
    mine = given_names.c.mac.in_(list(owned))
    found = select(given_names.c.name).where(mine).order_by(text("rowid DESC"))
    return connection.execute(found).scalar()


def taken_names(connection: Connection, node: int, owned: Iterable[Mac]) -> set[str]:
    """Every name that another machine has, or was given once."""
    present = select(nodes.c.name).where(nodes.c.name.is_not(None), nodes.c.id != node)
    others = select(given_names.c.name).where(given_names.c.mac.not_in(list(owned)))
    return {name for rows in (present, others) for (name,) in connection.execute(rows)}


def holder_of(connection: Connection, name: str) -> int | None:
    """Which machine has that name now."""
    return connection.execute(select(nodes.c.id).where(nodes.c.name == name)).scalar()


def give_name(connection: Connection, name: str, mac: Mac) -> None:
    """From now on it is this machine's: whoever says so by hand may give it anew."""
    row = insert(given_names).values(name=name, mac=mac)
    anew = row.on_conflict_do_update(index_elements=["name"], set_={"mac": mac})
    connection.execute(anew)
