"""The SQLite file and its migrations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, inspect, text

from kairos_netboot.boot.lifecycle import Kind, State
from kairos_netboot.boot.site import Compression, ImageSource
from kairos_netboot.errors import StoreProblem
from kairos_netboot.store import database
from kairos_netboot.store.database import open_database, writing
from kairos_netboot.store.schema import metadata
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Mac
from tests.unit.boot.sample import IMAGE, MAC, SPEC

# What a store of the first schema held: a node in the middle of its install, and two images.
FIRST = """
INSERT INTO nodes VALUES (1, 'alpha', '{"macs": ["52:54:00:00:00:01"], "profile": "server",
  "variables": {}, "exits": {}, "recipe": ""}', 'installing', 1, 'dk', '["rk"]', '{"a": "b"}');
INSERT INTO macs VALUES ('52:54:00:00:00:01', 1);
INSERT INTO settled_macs VALUES ('52:54:00:00:00:77');
INSERT INTO events VALUES (1, 1, '2026-11-22T12:00:00+00:00', 'install-started', 'began', 'r:1');
INSERT INTO images VALUES ('debian', 'oci-archive:/images/debian.tar', 'sha256:<0>',
  '{"arch": "amd64", "flavor": "debian", "flavor_release": "", "variant": "", "model": "",
    "version": "v4.2.0", "kernel_version": ""}',
  '{"kernel": {"digest": "sha256:<1>", "size": 8000000},
    "initrd": {"digest": "sha256:<2>", "size": 33000000},
    "rootfs": {"digest": "sha256:<3>", "size": 9}}');
INSERT INTO images VALUES ('board', 'quay.io/board:1', 'sha256:<4>', '{"arch": "arm64"}',
  '{"kernel": {"digest": "sha256:<1>", "size": 1}, "initrd": {"digest": "sha256:<1>", "size": 1},
    "rootfs": {"digest": "sha256:<1>", "size": 1}}');
INSERT INTO settings VALUES ('server-url', '"http://192.0.2.2:8080"');
"""


def migrated(path: Path, to: str, first: str = "") -> None:
    """Bring the database to a version and run statements on it there."""
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys=ON"))
        config.attributes["connection"] = connection
        known = inspect(connection).has_table("nodes")
        (command.downgrade if known else command.upgrade)(config, to)
    with engine.begin() as connection:
        for digit in "01234":
            first = first.replace(f"<{digit}>", digit * 64)
        for statement in filter(str.strip, first.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(tmp_path / "state.db")
    yield opened
    opened.dispose()


def test_the_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    inspector = inspect(engine)
    for table in metadata.sorted_tables:
        made = {c["name"]: c["nullable"] for c in inspector.get_columns(table.name)}
        assert made == {c.name: c.nullable for c in table.columns}
    assert set(inspector.get_table_names()) == {*metadata.tables, "alembic_version"}


def test_a_store_of_the_first_schema_is_taken_over_with_all_it_holds(tmp_path: Path) -> None:
    migrated(tmp_path / "state.db", "0001", FIRST)
    store = Store(tmp_path)
    fleet = store.fleet()
    assert fleet.images["debian"] == IMAGE
    assert fleet.images["board"].source == ImageSource(
        name="board", reference="quay.io/board:1", arch=Arch.ARM64, compression=Compression.AUTO
    )
    assert fleet.former == {}
    (node,) = fleet.nodes
    assert (node.spec, node.macs, node.state, node.boots) == (SPEC, (MAC,), State.INSTALLING, 1)
    assert (node.document_key, node.report_keys, node.facts) == (
        "dk",
        frozenset({"rk"}),
        {"a": "b"},
    )
    assert [event.kind for event in store.timeline(node.id)] == [Kind.INSTALL_STARTED]
    assert store.server_url() == "http://192.0.2.2:8080"
    store.discover({Mac("525400000088"): {}}, datetime(2026, 11, 22, tzinfo=UTC))
    store.close()


def test_a_migration_can_be_taken_back(tmp_path: Path) -> None:
    migrated(tmp_path / "state.db", "0001", FIRST)
    Store(tmp_path).close()
    migrated(tmp_path / "state.db", "0001")
    engine = create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, reference FROM images ORDER BY name")).all()
        assert rows == [("board", "quay.io/board:1"), ("debian", "oci-archive:/images/debian.tar")]
        assert connection.execute(text("SELECT count(*) FROM events")).scalar() == 1
    engine.dispose()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    migrated(path, "0001", FIRST + "UPDATE images SET facts = '{}' WHERE name = 'board'")
    before = tmp_path / "before.db"
    shutil.copy(path, before)
    with pytest.raises(KeyError, match="arch"):
        Store(tmp_path)
    dumps = []
    for each in (before, path):
        engine = create_engine(f"sqlite:///{each}")
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            dumps.append(list(raw.iterdump()))
        engine.dispose()
    assert dumps[0] == dumps[1]


def test_what_fails_in_a_transaction_is_not_written(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO settled_macs VALUES ('a')"))
            raise KeyError("no")

    with pytest.raises(KeyError):
        fail()
    with writing(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM settled_macs")).scalar() == 0


def test_a_transaction_that_has_ended_by_itself_says_why(engine: Engine) -> None:
    def end() -> None:
        with writing(engine) as connection:
            connection.execute(text("ROLLBACK"))  # as SQLite does on a full disk
            connection.execute(text("SELECT * FROM absent"))

    with pytest.raises(StoreProblem, match="no such table: absent"):
        end()
