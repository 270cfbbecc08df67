"""Queries about the packages of hosts, as they report them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, select

from collector.api.shapes import Updates
from collector.store.database import upsert, write_rows
from collector.store.tables import host_packages
from wire.packages import Packages, PendingUpdate

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Packages).decode


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be updated on a host: of what it told, this part alone is read."""

    pending: list[PendingUpdate] | None = None
    """By name, those for security first; None where nobody has looked."""
    left_out: int = msgspec.field(default=0, name="pending_left_out")
    """How many more wait."""

    @property
    def count(self) -> int:
        """How many wait, named or not."""
        return len(self.pending or ()) + self.left_out


_decode_waiting = msgspec.json.Decoder(Waiting).decode
_decode_updates = msgspec.json.Decoder(Updates | None).decode


def save(connection: Connection, came: Mapping[str, tuple[Packages, float]]) -> None:
    """Hosts' packages, each with when home received them, take the place of those before."""
    rows = [
        {
            "host_id": host,
            "received": received,
            "packages": _encode(found),
            "updates": _encode(summarise(found)).decode(),
        }
        for host, (found, received) in came.items()
    ]
    if rows:
        names = ("received", "packages", "updates")
        write_rows(connection, upsert(connection, host_packages, ("host_id",), names), rows)


def find(connection: Connection, host: str) -> tuple[Packages, float] | None:
    """A host's packages, and when home received them; None where it never told any."""
    row = connection.execute(select(host_packages).where(host_packages.c.host_id == host)).first()
    return None if row is None else (_decode(row.packages), row.received)


def waiting(connection: Connection, host: str) -> Waiting:
    """What waits on a host, each update with its versions."""
    column = host_packages.c.packages
    found = connection.execute(select(column).where(host_packages.c.host_id == host)).scalar()
    return Waiting() if found is None else _decode_waiting(found)


def updates(connection: Connection) -> dict[str, Updates]:
    """What waits on each host that knows, by id."""
    rows = connection.execute(select(host_packages.c.host_id, host_packages.c.updates))
    found = {row.host_id: _decode_updates(row.updates) for row in rows}
    return {host: waiting for host, waiting in found.items() if waiting is not None}


def summarise(found: Packages) -> Updates | None:
    """None where nobody has looked for updates there."""
    if found.pending is None:
        return None
    security = [update for update in found.pending if update.security]
    return Updates(
        pending=len(found.pending) + found.pending_left_out,
        security=len(security),
        since=min((update.since for update in security or found.pending), default=None),
    )
