"""Opens the database, brings its tables up to date, and gives transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Insert, Table, Update
from sqlalchemy.dialects import postgresql as of_postgresql
from sqlalchemy.dialects import sqlite as of_sqlite
from sqlalchemy.exc import DatabaseError, OperationalError

from collector.store import postgresql, schema, sqlite
from collector.store.place import Place
from collector.store.tables import REVISION
from kit.errors import HostwardError


class Database:
    """One database, safe to use from any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        is_sqlite = engine.dialect.name == "sqlite"
        self._reading = engine if is_sqlite else engine.execution_options(**postgresql.READING)
        self._writing = engine.execution_options(hostward_writes=True)
        self._guard = None if is_sqlite else postgresql.Guard(engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database."""
        with self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back when the block raises."""
        with self._writing.begin() as connection:
            yield connection

    @contextmanager
    def serving(self) -> Iterator[None]:
        """No other process serves it meanwhile, from whatever machine. Raises HostwardError where one does.

        Of SQLite's file that is the lock of its folder (collector.cli.init).
        """
        if not self.serves():
            raise HostwardError("another hostward-collector serves this database; a home is served by one")
        try:
            yield
        finally:
            if self._guard is not None:
                self._guard.free()

    def serves(self) -> bool:
        """Whether this process is the one that serves it, or is from now on. By one thread at a time.

        Raises OperationalError where the server cannot be asked.
        """
        return self._guard is None or self._guard.hold()

    def close(self) -> None:
        """Close every connection."""
        if self._guard is not None:
            self._guard.free()
        self.engine.dispose()


def open_database(place: Place, *, create: bool = False, upgrade: bool = False) -> Database:
    """The database at `place`, a file of SQLite's or one of a server, with the newest tables.

    `create` makes the tables where there are none, and SQLite's file; `upgrade` brings older ones up to date, in one
    transaction each. Raises HostwardError, saying what to do, when it is missing, damaged, emptied, too old or too
    new, or cannot be reached.
    """
    if isinstance(place, Path):
        if not create and not place.exists():
            raise HostwardError(
                f"{place} is not there; `hostward-collector init --data-dir {place.parent}` sets a collector up"
            )
        if not create and place.stat().st_size == 0:
            raise _without_tables(place)  # before a connection writes to it
    database = connect(place)
    try:
        with told(place):
            _bring_up_to_date(database, place, create=create, upgrade=create or upgrade)
    except BaseException:
        database.close()
        raise
    return database


def connect(place: Place) -> Database:
    """The database at `place`, whatever is in it; nothing is done yet. Raises HostwardError without a driver."""
    return Database(sqlite.make_engine(place) if isinstance(place, Path) else postgresql.make_engine(place))


@contextmanager
def told(place: Place) -> Iterator[None]:
    """What the database says against what is done in the block is a HostwardError."""
    try:
        yield
    except DatabaseError as error:
        as_what = " as a database" if isinstance(place, Path) else ""
        raise HostwardError(f"{place} cannot be used{as_what}: {said(error)}") from error


def is_away(error: OperationalError) -> bool:
    """Whether a server cannot be reached, or can do nothing now: SQLite's file has no such excuse."""
    return not isinstance(error.orig, sqlite3.Error)


def said(error: DatabaseError) -> str:
    """What the database said, in one line."""
    return " ".join(str(error.orig).split())


def upsert(connection: Connection, table: Table, keys: tuple[str, ...], values: tuple[str, ...]) -> Insert:
    """INSERT of the columns `keys` and `values` that updates `values` where a row with these `keys` is there."""
    return _upsert(connection.dialect.name, table, keys, values)


@cache  # to build one takes longer than to execute it
def _upsert(dialect: str, table: Table, keys: tuple[str, ...], values: tuple[str, ...]) -> Insert:
    insert = of_sqlite.insert if dialect == "sqlite" else of_postgresql.insert
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
    speaker = of_sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
    return str(statement.compile(dialect=speaker, column_keys=names))


def _bring_up_to_date(database: Database, place: Place, *, create: bool, upgrade: bool) -> None:
    with database.write() if upgrade else database.read() as connection:
        current = schema.revision(connection)
        if current == REVISION:
            return
        # The newest migration's number is the largest: they are numbered in one line.
        if current is not None and current > REVISION:
            raise HostwardError(
                f"{place} was written by a newer Hostward (schema {current}; this one knows {REVISION}): "
                "install that version or restore a backup made before the upgrade"
            )
        if current is None and not create:
            raise _without_tables(place)
        if not upgrade:
            raise HostwardError(
                f"{place} is of an older Hostward (schema {current}); `hostward-collector serve` brings it up to date"
            )
        if current is None and (other := schema.tables(connection)):
            raise HostwardError(f"{place} holds something else (the table {other[0]}); give a database that is empty")
        schema.migrate(connection)


def _without_tables(place: Place) -> HostwardError:
    """To begin anew would show an empty fleet, in which every host is a stranger."""
    if not isinstance(place, Path):
        return HostwardError(
            f"{place} holds no collector's tables: it was emptied, or setting it up was not finished. Restore a "
            "backup, or set up a collector that knows nothing of what the old one knew in another data folder"
        )
    return HostwardError(
        f"{place} holds no collector's tables: it was emptied, or setting it up was not finished. Restore a backup, "
        "or move it away and set up a collector that knows nothing of what the old one knew by "
        f"`hostward-collector init --data-dir {place.parent}`"
    )
