"""Queries about leases: places of which there are only so many."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from collector.rules.windows import taken
from collector.store.database import upsert, write_rows
from collector.store.tables import leases


def take(connection: Connection, name: str, holder: str, places: int, *, now: float, duration: float) -> float | None:
    """Until when the holder has a place; None where all are others'. In a transaction that writes, nobody else's
    comes in between."""
    connection.execute(delete(leases).where(leases.c.until <= now))
    rows = connection.execute(select(leases.c.holder, leases.c.until).where(leases.c.name == name))
    until = taken({row.holder: row.until for row in rows}, holder, places, now=now, duration=duration)
    if until is not None:
        row = {"name": name, "holder": holder, "until": until}
        write_rows(connection, upsert(connection, leases, ("name", "holder"), ("until",)), [row])
    return until


def give_back(connection: Connection, name: str, holder: str) -> None:
    """Let others have it. Who holds none gives none back."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))
