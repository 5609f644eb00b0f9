"""How far each webhook has come in the event log. On the disk, so that a restart loses nothing and
repeats the last one at most."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..boot.hooks import Webhook
from .events import Change, Entry, change_by, entries_after, newest_entry
from .settings import put_setting, setting
from .store import Store

_BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    entry: Entry
    change: Change


def read_hooks(store: Store) -> tuple[Webhook, ...]:
    """Those of the site file."""
    with store.reading() as connection:
        rows = setting(connection, "webhooks", [])
    return tuple(
        Webhook(url=row["url"], secret=row["secret"], kinds=tuple(row["kinds"])) for row in rows
    )


def start_of(store: Store, url: str) -> int:
    """The number of the last event it was told; a new hook begins with what comes next."""
    with store.writing() as connection:
        newest = newest_entry(connection)
        told = setting(connection, _key(url), None)
        if told is None or told > newest:  # another database came in the place of this one
            put_setting(connection, _key(url), newest)
            return newest
        return int(told)


def catch_up(store: Store, told: int) -> list[News]:
    """The next events, and what they changed."""
    with store.reading() as connection:
        entries = entries_after(connection, told, limit=_BATCH)
        return [News(entry=entry, change=change_by(connection, entry)) for entry in entries]


def move_on(store: Store, url: str, told: int) -> None:
    with store.writing() as connection:
        put_setting(connection, _key(url), told)


def _key(url: str) -> str:
    return "webhook-cursor:" + hashlib.sha256(url.encode()).hexdigest()[:16]
