"""SQLite as home's database: one file in WAL mode.

It is written with BEGIN IMMEDIATE, so that a transaction which reads first can never fail half-way for want of the
lock, and with synchronous=FULL, so that what was acknowledged survives a power cut. With commits in groups, FULL was
measured within the noise of NORMAL.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

LOCK_TIMEOUT = 15.0
"""Seconds that a transaction waits for another one, here or in another process, to end."""


def make_engine(path: Path) -> Engine:
    """Connections to the file, which need not be there yet. A transaction that is executed with the option
    `hostward_writes` has the file's one lock for writing from its beginning.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_TIMEOUT, "check_same_thread": False})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # _on_begin says BEGIN; the driver would only do so before some statements
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hostward_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
