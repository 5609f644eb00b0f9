from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Site
from kairos_netboot.store.logs import (
    INSTALLER,
    KEPT_LINES,
    Line,
    last_lines,
    lines_after,
    put_lines,
    put_report,
)
from kairos_netboot.store.store import Store
from tests.unit.boot.sample import PROFILE, SPEC

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC}), NOW)
    yield store
    store.close()


def lines(*texts: str, node: int = 1) -> list[Line]:
    return [Line(node=node, at=NOW, source="syslog", text=text) for text in texts]


def test_lines_are_read_in_their_order(store: Store) -> None:
    with store.writing() as connection:
        put_lines(connection, lines("one", "two"))
        put_lines(connection, lines("three"))
        first, *rest = lines_after(connection, 1, 0)
        assert lines_after(connection, 1, first.id) == rest
    assert [line.text for line in (first, *rest)] == ["one", "two", "three"]
    assert (first.source, first.at) == ("syslog", NOW)


@pytest.mark.parametrize("more", [0, 1, 500])
def test_the_newest_lines_of_a_node_are_kept(store: Store, more: int) -> None:
    with store.writing() as connection:
        put_lines(connection, lines(*map(str, range(KEPT_LINES + more))))
        kept = lines_after(connection, 1, 0)
    assert [line.text for line in kept] == [str(n) for n in range(more, KEPT_LINES + more)]


def test_lines_of_a_node_that_has_gone_are_dropped(store: Store) -> None:
    with store.writing() as connection:
        put_lines(connection, [*lines("x", node=99), *lines("y")])
        assert [line.text for line in lines_after(connection, 1, 0)] == ["y"]
        assert lines_after(connection, 99, 0) == []


def test_a_report_told_twice_is_kept_once(store: Store) -> None:
    with store.writing() as connection:
        for _ in range(2):
            put_report(connection, 1, NOW, ["one", "two"])
        put_report(connection, 1, NOW, ["three"])
        assert [line.text for line in lines_after(connection, 1, 0)] == ["one", "two", "three"]


def test_the_last_lines_are_those_of_one_source(store: Store) -> None:
    with store.writing() as connection:
        put_report(connection, 1, NOW, ["one", "two", "three"])
        put_lines(connection, lines("noise"))
        found = last_lines(connection, 1, INSTALLER, 2)
    assert [line.text for line in found] == ["two", "three"]
