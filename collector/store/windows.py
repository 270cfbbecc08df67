"""Queries about maintenance windows."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from collector.store.tables import window_hosts, windows
from wire.window import Window

KEPT = 30 * 86400.0
"""Seconds for which a window that is over is remembered."""
MOST = 1000
"""Windows that a list gives."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Window).decode


def add(connection: Connection, window: Window) -> None:
    """Open one, and forget those that were over long ago."""
    connection.execute(delete(windows).where(windows.c.until < window.opened - KEPT))
    connection.execute(insert(windows).values(id=window.id, opened=window.opened, **_values(window)))
    _add_hosts(connection, window)


def save(connection: Connection, window: Window) -> None:
    """Write how one stands."""
    connection.execute(update(windows).where(windows.c.id == window.id).values(**_values(window)))
    connection.execute(delete(window_hosts).where(window_hosts.c.window_id == window.id))
    _add_hosts(connection, window)


def find(connection: Connection, window: str) -> Window | None:
    """None where there is none of this id."""
    row = connection.execute(select(windows.c.window).where(windows.c.id == window)).first()
    return None if row is None else _decode(row.window)


def listed(connection: Connection, now: float, *, ended: bool) -> list[Window]:
    """Those that are in force, or with `ended` those that are remembered, the newest first."""
    query = select(windows.c.window).order_by(windows.c.opened.desc()).limit(MOST)
    if not ended:
        query = query.where(windows.c.until > now, windows.c.closed.is_(None))
    return [_decode(row.window) for row in connection.execute(query)]


def of_hosts(connection: Connection, names: Collection[str], now: float) -> dict[str, list[Window]]:
    """Name of a host to its windows that are in force."""
    rows = connection.execute(
        select(window_hosts.c.host, windows.c.window)
        .join(windows, windows.c.id == window_hosts.c.window_id)
        .where(window_hosts.c.host.in_(names), windows.c.until > now, windows.c.closed.is_(None))
    )
    found: dict[str, list[Window]] = {}
    for row in rows:
        found.setdefault(row.host, []).append(_decode(row.window))
    return found


def _add_hosts(connection: Connection, window: Window) -> None:
    rows = [{"window_id": window.id, "host": host} for host in dict.fromkeys(window.hosts)]
    if rows:
        connection.execute(insert(window_hosts), rows)


def _values(window: Window) -> dict[str, object]:
    return {"until": window.until, "closed": window.closed, "window": _encode(window).decode()}
