"""Opens the database, brings its tables up to date, and gives transactions.

SQLite: one file in WAL mode, written with BEGIN IMMEDIATE so that a transaction which reads first can never fail
half-way for want of the lock, and synchronous=FULL so that what was acknowledged survives a power cut. With
commits in groups, FULL was measured within the noise of NORMAL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Insert, Table, Update, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from collector.store.tables import REVISION
from kit.errors import HostwardError

LOCK_TIMEOUT = 15.0
"""Seconds that a transaction waits for another one, here or in another process, to end."""


class Database:
    """One database, safe to use from any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(hostward_writes=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back when the block raises."""
        with self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_database(path: Path, *, create: bool = False, upgrade: bool = False) -> Database:
    """The SQLite database at `path`.

    `create` makes one that is not there, `upgrade` brings an older one up to date, in one transaction each.
    Raises HostwardError, saying what to do, when it is missing, damaged, emptied, too old or too new.
    """
    if not create and not path.exists():
        raise HostwardError(
            f"{path} is not there; `hostward-collector init --data-dir {path.parent}` sets a collector up"
        )
    if not create and path.stat().st_size == 0:
        raise _without_tables(path)  # before a connection writes to it
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_TIMEOUT, "check_same_thread": False})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    database = Database(engine)
    try:
        _bring_up_to_date(database, path, create=create, upgrade=create or upgrade)
    except BaseException as error:
        database.close()
        if isinstance(error, DatabaseError):
            raise HostwardError(f"{path} cannot be used as a database: {error.orig}") from error
        raise
    return database


def upsert(connection: Connection, table: Table, keys: tuple[str, ...], values: tuple[str, ...]) -> Insert:
    """INSERT of the columns `keys` and `values` that updates `values` where a row with these `keys` is there."""
    return _upsert(connection.dialect.name, table, keys, values)


@cache  # to build one takes longer than to execute it
def _upsert(dialect: str, table: Table, keys: tuple[str, ...], values: tuple[str, ...]) -> Insert:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in values}
    )


def write_rows(connection: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement of `store`'s own once for each row, which names its parameters.

    For what every report writes: SQLAlchemy's work on parameters would take longer than the database's own. So the
    columns must be of types that drivers take as they are (numbers, text, bytes).
    """
    if rows:
        connection.exec_driver_sql(_text(connection.dialect, statement, tuple(rows[0])), list(rows))


@lru_cache(maxsize=64)
def _text(dialect: Dialect, statement: Insert | Update, names: tuple[str, ...]) -> str:
    # Parameters by position would have to be in the order in which the text has them.
    speaker = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
    return str(statement.compile(dialect=speaker, column_keys=names))


def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # _on_begin says BEGIN; the driver would only do so before some statements
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hostward_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up_to_date(database: Database, path: Path, *, create: bool, upgrade: bool) -> None:
    with database.write() if upgrade else database.read() as connection:
        current = _revision(connection)
        if current == REVISION:
            return
        # The newest migration's number is the largest: they are numbered in one line.
        if current is not None and current > REVISION:
            raise HostwardError(
                f"{path} was written by a newer Hostward (schema {current}; this one knows {REVISION}): "
                "install that version or restore a backup made before the upgrade"
            )
        if current is None and not create:
            raise _without_tables(path)
        if not upgrade:
            raise HostwardError(
                f"{path} is of an older Hostward (schema {current}); `hostward-collector serve` brings it up to date"
            )
        _migrate(connection)


def _without_tables(path: Path) -> HostwardError:
    """To begin anew would show an empty fleet, in which every host is a stranger."""
    return HostwardError(
        f"{path} holds no collector's tables: it was emptied, or setting it up was not finished. Restore a backup, "
        "or move it away and set up a collector that knows nothing of what the old one knew by "
        f"`hostward-collector init --data-dir {path.parent}`"
    )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: Any = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _migrate(connection: Connection) -> None:
    # Loaded here: alembic with its templates takes a third of a second, and is needed once per upgrade.
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
