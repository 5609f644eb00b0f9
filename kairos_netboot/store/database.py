"""The SQLite file: opened with WAL, brought to the newest schema, closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from ..errors import StoreProblem
from .ownership import give_to_owner

_MIGRATIONS = Path(__file__).parent / "migrations"
_NEWEST = "0004"
_ALONE = "alone"


def open_database(path: Path) -> Engine:
    """Make or open the database; raises StoreProblem naming the file."""
    try:
        fresh = not path.exists()
        # Parameters are hidden: they hold templates and variables, and errors are logged.
        engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": 15}, hide_parameters=True
        )
        event.listen(engine, "do_connect", _connect)
        with _connected(engine):
            pass
        if fresh:
            # The -wal and -shm files follow by themselves: SQLite gives them the owner of this one.
            give_to_owner(path, path.parent)
        if _version(engine) != _NEWEST:
            _migrate(engine)
    except (DBAPIError, StoreProblem, OSError) as error:
        raise StoreProblem(
            f"cannot open {path}: {_cause(error)}; is the state directory yours?",
            details=str(error),
        ) from error
    return engine


def _connect(
    _dialect: object, record: ConnectionPoolEntry, where: Sequence[Any], how: dict[str, Any]
) -> sqlite3.Connection:
    """On a full disk there is no room for the index of the log, and no reading without it; nor
    could `images gc` make room. SQLite needs none where it locks everybody else out: done then,
    and for one transaction at a time."""
    try:
        return _configured(sqlite3.connect(*where, **how))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_IOERR_SHMSIZE":
            raise
    connection = sqlite3.connect(*where, **how)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    record.info[_ALONE] = True
    return _configured(connection)


def _configured(connection: sqlite3.Connection) -> sqlite3.Connection:
    # pysqlite opens transactions late and only for writes; SQLAlchemy's documented cure is to
    # take that away from it and to send BEGIN ourselves.
    connection.isolation_level = None
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL: an acknowledged report must outlive a power cut, not only a crash of this process.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _version(engine: Engine) -> str | None:
    with _connected(engine) as connection:
        tables = connection.execute(
            text("SELECT name FROM sqlite_master WHERE name = 'alembic_version'")
        ).all()
        if not tables:
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    """Alembic takes a third of a second to import: only for a database that needs it."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreProblem(
                f"the database is of a newer kairos-netboot than this one: {error}"
            ) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock from its start, so that what it reads stays true."""
    with _connected(engine) as connection:
        connection.execute(text("BEGIN IMMEDIATE"))
        try:
            yield connection
            connection.execute(text("COMMIT"))
        except BaseException:
            # Not the statement: on a full disk SQLite has rolled back by itself already.
            connection.rollback()
            raise


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one moment of the database."""
    with _connected(engine) as connection:
        connection.execute(text("BEGIN"))
        try:
            yield connection
        finally:
            connection.rollback()


def change_count(engine: Engine) -> int:
    """Grows whenever another process writes; 0 while the disk is too full for anybody to."""
    with _connected(engine) as connection:
        if _ALONE in connection.info:
            return 0
        return int(connection.execute(text("PRAGMA data_version")).scalar_one())


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    with _told(), engine.connect() as connection:
        if _ALONE in connection.info:
            connection.detach()  # closed after this and not kept: others want it too
        yield connection


@contextmanager
def _told() -> Iterator[None]:
    """A full disk, a lock held too long, a damaged file: one line for people."""
    try:
        yield
    except DBAPIError as error:
        raise StoreProblem(
            f"the database does not answer: {_cause(error)}; is the disk full, or another program "
            "at work on it?",
            details=str(error),
        ) from error


def _cause(error: Exception) -> str:
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)
