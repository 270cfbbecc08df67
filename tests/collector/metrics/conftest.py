"""A database with the history's tables, in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

from collector.metrics import tables
from collector.store.database import Database, open_database


def memory_database() -> Database:
    """One connection to a database that goes with it."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    # The driver would begin a transaction before some statements only, and DDL would end it.
    event.listen(engine, "connect", lambda connection, _entry: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    tables.metadata.create_all(engine, tables=[tables.series, tables.journal, tables.blocks])
    return Database(engine)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of the test's own, of each kind."""
    kind = request.param == "sqlite"
    made = memory_database() if kind else open_database(request.getfixturevalue("server"))
    yield made
    made.close()
