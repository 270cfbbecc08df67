"""Queries about runs of backup jobs and about drills: their history, and how each job and drill stands.

History is kept within its bounds as it grows, so that no look over all hosts is needed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, select

from collector.rules.backups import (
    DrillPoint,
    DrillStanding,
    JobStanding,
    SizePoint,
    take_drill,
    take_run,
)
from collector.store.database import upsert, write_rows
from collector.store.tables import backup_jobs, backup_runs, drill_plans, drills, hosts
from wire.report import BackupRun, Drill

KEPT_RUNS = 400
"""Per job: a year of a daily one, two weeks of an hourly one."""
KEPT_DRILLS = 200
"""Per drill."""
KEPT_NAMES = 200
"""Jobs, and drills, per host."""

_encode = msgspec.json.Encoder().encode
R = TypeVar("R")
S = TypeVar("S")
P = TypeVar("P")


class Came(NamedTuple, Generic[R]):
    """What a report brought."""

    host: str
    what: R
    received: float
    """By home's clock."""
    newest: bool
    """Whether the report is of the host's newest stream."""


class Stored(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """One of the history."""

    id: int
    """Grows with what came later."""
    received: float
    """When its report came, by home's clock."""
    what: R


@dataclass(frozen=True, slots=True)
class _Kind(Generic[R, S, P]):
    """What the two kinds of things differ in."""

    history: Table
    standing: Table
    name: str
    """The column of the job's or drill's name."""
    document: str
    """The history's column of JSON."""
    kept: int
    name_of: Callable[[R], str]
    take: Callable[..., tuple[S, list[P]]]
    decode: Callable[[str], R]
    decode_standing: Callable[[str], S]
    decode_points: Callable[[str], list[P]]


_RUNS: _Kind[BackupRun, JobStanding, SizePoint] = _Kind(
    backup_runs,
    backup_jobs,
    "job",
    "run",
    KEPT_RUNS,
    lambda run: run.job,
    take_run,
    msgspec.json.Decoder(BackupRun).decode,
    msgspec.json.Decoder(JobStanding).decode,
    msgspec.json.Decoder(list[SizePoint]).decode,
)
_DRILLS: _Kind[Drill, DrillStanding, DrillPoint] = _Kind(
    drills,
    drill_plans,
    "name",
    "drill",
    KEPT_DRILLS,
    lambda drill: drill.name,
    take_drill,
    msgspec.json.Decoder(Drill).decode,
    msgspec.json.Decoder(DrillStanding).decode,
    msgspec.json.Decoder(list[DrillPoint]).decode,
)


def add_runs(connection: Connection, came: Iterable[Came[BackupRun]]) -> None:
    """Store runs of hosts."""
    _add(connection, _RUNS, came)


def add_drills(connection: Connection, came: Iterable[Came[Drill]]) -> None:
    """Store drills of hosts."""
    _add(connection, _DRILLS, came)


def runs(
    connection: Connection, host: str, *, job: str | None, before: int | None, limit: int
) -> list[Stored[BackupRun]]:
    """Runs of a host, or of one job of it, the newest first; only such with a smaller id than `before`."""
    return _history(connection, _RUNS, host, job, before, limit)


def drill_history(
    connection: Connection, host: str, *, name: str | None, before: int | None, limit: int
) -> list[Stored[Drill]]:
    """Drills of a host, as `runs`."""
    return _history(connection, _DRILLS, host, name, before, limit)


def jobs(connection: Connection, host: str | None = None) -> list[tuple[str, str, JobStanding]]:
    """(host, job, how it stands) of one host, or of all that are not revoked; by host and job."""
    return _standings(connection, _RUNS, host)


def plans(connection: Connection, host: str | None = None) -> list[tuple[str, str, DrillStanding]]:
    """(host, drill, how it stands), as `jobs`."""
    return _standings(connection, _DRILLS, host)


def sizes(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[SizePoint]]:
    """(host, job) to its sizes, the oldest first."""
    return _points(connection, _RUNS, keys)


def trends(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[DrillPoint]]:
    """(host, drill) to its results, the oldest first."""
    return _points(connection, _DRILLS, keys)


def forget_job(connection: Connection, host: str, job: str) -> bool:
    """Forget how a job stands and what it ran, until it runs again; False where there is no such job."""
    return _forget(connection, _RUNS, host, job)


def forget_drill(connection: Connection, host: str, name: str) -> bool:
    """Forget a drill, as `forget_job`."""
    return _forget(connection, _DRILLS, host, name)


def _add(connection: Connection, kind: _Kind[R, S, P], came: Iterable[Came[R]]) -> None:
    rows: list[dict[str, Any]] = []
    stands: dict[tuple[str, str], tuple[float, S | None, list[P]]] = {}
    for host, what, received, newest in came:
        name = kind.name_of(what)
        rows.append({"host_id": host, kind.name: name, "received": received, kind.document: _text(what)})
        known = stands.get((host, name))
        if known is None:
            stored = _standing(connection, kind, host, name)
            known = received, *stored
        _, before, points = known
        stands[host, name] = received, *kind.take(before, points, what, received=received, newest=newest)
    if not rows:
        return
    connection.execute(insert(kind.history), rows)
    write_rows(
        connection,
        upsert(connection, kind.standing, ("host_id", kind.name), ("received", "standing", "points")),
        [
            {
                "host_id": host,
                kind.name: name,
                "received": received,
                "standing": _text(standing),
                "points": _text(points),
            }
            for (host, name), (received, standing, points) in stands.items()
        ],
    )
    for host, name in stands:
        _trim(connection, kind, host, name)
    for host in {host for host, _ in stands}:
        _trim_names(connection, kind, host)


def _text(document: object) -> str:
    return _encode(document).decode()


def _trim(connection: Connection, kind: _Kind[R, S, P], host: str, name: str) -> None:
    """The index leads to the oldest one that stays."""
    table = kind.history
    of_name = and_(table.c.host_id == host, table.c[kind.name] == name)
    beyond = select(table.c.id).where(of_name).order_by(table.c.id.desc()).offset(kind.kept).limit(1)
    connection.execute(delete(table).where(of_name, table.c.id <= beyond.scalar_subquery()))


def _trim_names(connection: Connection, kind: _Kind[R, S, P], host: str) -> None:
    """Whoever reports names without end loses those that were not heard of for the longest."""
    table = kind.standing
    count = connection.execute(select(func.count()).where(table.c.host_id == host)).scalar_one()
    if count > KEPT_NAMES:
        name = table.c[kind.name]
        old = select(name).where(table.c.host_id == host).order_by(table.c.received.desc(), name).offset(KEPT_NAMES)
        for gone in connection.execute(old).scalars().all():
            _forget(connection, kind, host, gone)


def _forget(connection: Connection, kind: _Kind[R, S, P], host: str, name: str) -> bool:
    found = 0
    for table in (kind.history, kind.standing):
        found = connection.execute(delete(table).where(table.c.host_id == host, table.c[kind.name] == name)).rowcount
    return bool(found)


def _standing(connection: Connection, kind: _Kind[R, S, P], host: str, name: str) -> tuple[S | None, list[P]]:
    table = kind.standing
    row = connection.execute(
        select(table.c.standing, table.c.points).where(table.c.host_id == host, table.c[kind.name] == name)
    ).first()
    return (None, []) if row is None else (kind.decode_standing(row.standing), kind.decode_points(row.points))


def _history(
    connection: Connection, kind: _Kind[R, S, P], host: str, name: str | None, before: int | None, limit: int
) -> list[Stored[R]]:
    table = kind.history
    conditions: list[ColumnElement[bool]] = [table.c.host_id == host]
    if name is not None:
        conditions.append(table.c[kind.name] == name)
    if before is not None:
        conditions.append(table.c.id < before)
    rows = connection.execute(select(table).where(*conditions).order_by(table.c.id.desc()).limit(limit))
    return [Stored(id=row.id, received=row.received, what=kind.decode(row._mapping[kind.document])) for row in rows]


def _standings(connection: Connection, kind: _Kind[R, S, P], host: str | None) -> list[tuple[str, str, S]]:
    table = kind.standing
    name = table.c[kind.name]
    query = select(table.c.host_id, name, table.c.standing).join(hosts).where(hosts.c.revoked.is_(None))
    if host is not None:
        query = query.where(table.c.host_id == host)
    rows = connection.execute(query.order_by(table.c.host_id, name)).all()
    decode = kind.decode_standing
    return [(host_id, named, decode(standing)) for host_id, named, standing in rows]


def _points(
    connection: Connection, kind: _Kind[R, S, P], wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[P]]:
    keys = set(wanted)
    table = kind.standing
    name = table.c[kind.name]
    # Not by a chain of OR, of which SQLite takes a thousand, nor by pairs, for which it uses no index.
    of_them = table.c.host_id.in_({host for host, _ in keys}), name.in_({named for _, named in keys})
    rows = connection.execute(select(table.c.host_id, name, table.c.points).where(*of_them))
    return {(host, named): kind.decode_points(points) for host, named, points in rows if (host, named) in keys}
