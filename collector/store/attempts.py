"""Queries about logins that failed, by what was tried. Kept in the database: a restart forgives nothing."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from collector.rules.login import FORGOTTEN, Attempts
from collector.store.database import upsert
from collector.store.tables import login_attempts


def attempts(connection: Connection, key: str) -> Attempts:
    """None of them for a key that is not known."""
    row = connection.execute(select(login_attempts).where(login_attempts.c.key == key)).first()
    return Attempts() if row is None else Attempts(row.failures, row.last)


def save(connection: Connection, key: str, found: Attempts) -> None:
    """Write them; none are forgotten. What is too old to count goes."""
    connection.execute(delete(login_attempts).where(login_attempts.c.last < found.last - FORGOTTEN))
    values = {"key": key, "failures": found.failures, "last": found.last}
    connection.execute(upsert(connection, login_attempts, ("key",), ("failures", "last")), values)


def forget(connection: Connection, key: str) -> bool:
    """Whether there were any."""
    return connection.execute(delete(login_attempts).where(login_attempts.c.key == key)).rowcount > 0
