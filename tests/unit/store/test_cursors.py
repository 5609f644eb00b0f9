from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.hooks import Webhook
from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import Site
from kairos_netboot.store.cursors import catch_up, move_on, read_hooks, start_of
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import PROFILE, SPEC

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOOK = Webhook(url="https://hooks.example/x", secret="s", kinds=("ready",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    site = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}, webhooks=(HOOK,))
    store.apply(site, NOW)
    yield store
    store.close()


def test_the_site_file_s_hooks_are_read_as_they_were_written(store: Store) -> None:
    assert read_hooks(store) == (HOOK,)


def test_a_new_hook_is_told_no_history(store: Store) -> None:
    assert catch_up(store, start_of(store, HOOK.url)) == []


def test_a_hook_goes_on_where_it_was(store: Store) -> None:
    told = start_of(store, HOOK.url)
    store.rearm("alpha", NOW)
    (news,) = catch_up(store, start_of(store, HOOK.url))
    assert news.entry.event.kind is Kind.REARMED
    assert news.change.after is State.ARMED
    move_on(store, HOOK.url, news.entry.id)
    assert start_of(store, HOOK.url) == news.entry.id > told


def test_hooks_have_each_their_own_place(store: Store) -> None:
    store.rearm("alpha", NOW)
    move_on(store, "http://a/", 1)
    assert (start_of(store, "http://a/"), start_of(store, "http://b/")) == (1, 2)


def test_a_cursor_of_another_database_begins_anew(store: Store) -> None:
    move_on(store, HOOK.url, 10**6)
    assert start_of(store, HOOK.url) < 10**6
