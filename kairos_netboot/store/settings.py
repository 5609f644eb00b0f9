"""What the site file says besides images, profiles and nodes: a JSON value for each key.

Each function works inside a transaction of its caller's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from .schema import settings


def setting(connection: Connection, key: str, default: object) -> Any:
    row = connection.execute(select(settings.c.value).where(settings.c.key == key)).one_or_none()
    return default if row is None else row.value


def put_setting(connection: Connection, key: str, value: object) -> None:
    row = {"key": key, "value": value}
    connection.execute(
        insert(settings).values(row).on_conflict_do_update(index_elements=["key"], set_=row)
    )
