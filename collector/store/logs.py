"""Queries about what the logs of hosts say, by day."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, delete, func, select, tuple_

from collector.store.database import upsert, write_rows
from collector.store.tables import log_days
from wire.report import LogSummary

KEPT_DAYS = 92
"""Per host."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LogSummary).decode


def add_days(connection: Connection, days: Iterable[tuple[str, LogSummary]]) -> None:
    """Store days of hosts. One that is there already is replaced: the host looked at it again."""
    rows = {
        (host, summary.day): {"host_id": host, "day": summary.day, "summary": _encode(summary).decode()}
        for host, summary in days
    }
    if rows:
        write_rows(connection, upsert(connection, log_days, ("host_id", "day"), ("summary",)), list(rows.values()))


def recent_days(connection: Connection, host: str, limit: int) -> list[LogSummary]:
    """The newest first."""
    rows = connection.execute(
        select(log_days.c.summary).where(log_days.c.host_id == host).order_by(log_days.c.day.desc()).limit(limit)
    )
    return [_decode(row.summary) for row in rows]


def prune(connection: Connection) -> None:
    """Remove the oldest days of hosts that have more than are kept."""
    place = func.row_number().over(partition_by=log_days.c.host_id, order_by=log_days.c.day.desc()).label("place")
    ranked = select(log_days.c.host_id, log_days.c.day, place).subquery()
    old = select(ranked.c.host_id, ranked.c.day).where(ranked.c.place > KEPT_DAYS)
    connection.execute(delete(log_days).where(tuple_(log_days.c.host_id, log_days.c.day).in_(old)))
