"""Queries about what home knows of snapshots, alerts, and what was done."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from collector.backups.keeping.alerts import STOPPING, Alert, AlertKind
from collector.backups.keeping.facts import Facts, Group
from collector.backups.keeping.results import Result, WorkKind
from collector.backups.keeping.tables import backup_alerts, backup_snapshots, backup_works

KEPT_WORKS = 100
"""Of a repository and kind."""
KEPT_ALERTS = 200
"""Of a repository, of those that ended."""
KEPT_REMOVED = 2000
"""Snapshots of a repository that are gone: what is usual is made of them too."""

_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Facts).decode
_group = msgspec.json.Decoder(Group).decode
_result = msgspec.json.Decoder(Result).decode


@dataclass(frozen=True, slots=True)
class Known:
    """A snapshot, and what becomes or became of it."""

    facts: Facts
    reason: str
    """Why it is removed, written before it is; '' while it is kept."""
    removed: float | None


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that was raised."""

    id: int
    repository: str
    kind: AlertKind
    group: Group | None
    stops: bool
    message: str
    since: float
    raised: float
    acknowledged: float | None
    acknowledged_by: str


@dataclass(frozen=True, slots=True)
class Work:
    """One time that home kept or verified."""

    id: int
    repository: str
    kind: WorkKind
    started: float
    finished: float | None
    result: Result | None
    """None while it is under way, or where it was killed."""


def known(connection: Connection, repository: str) -> list[Known]:
    """All snapshots, those that are gone too, in the order of their receipt."""
    rows = connection.execute(
        select(backup_snapshots)
        .where(backup_snapshots.c.repository == repository)
        .order_by(backup_snapshots.c.received, backup_snapshots.c.name)
    )
    return [Known(_facts(row.facts), row.reason, row.removed) for row in rows]


def add_snapshots(connection: Connection, repository: str, found: Iterable[Facts]) -> None:
    """Remember snapshots that are not known, or that were removed and sent once more."""
    rows = [
        {
            "repository": repository,
            "name": one.name,
            "received": one.received,
            "facts": _encode(one).decode(),
            "reason": "",
            "removed": None,
        }
        for one in found
    ]
    for row in rows:
        connection.execute(
            delete(backup_snapshots).where(
                backup_snapshots.c.repository == repository, backup_snapshots.c.name == row["name"]
            )
        )
    if rows:
        connection.execute(insert(backup_snapshots), rows)


def release(connection: Connection, repository: str, snapshot: Facts) -> None:
    """Its flags do not count from now on."""
    connection.execute(
        update(backup_snapshots)
        .where(backup_snapshots.c.repository == repository, backup_snapshots.c.name == snapshot.name)
        .values(facts=_encode(replace(snapshot, released=True)).decode())
    )


def intend(connection: Connection, repository: str, reasons: dict[str, str]) -> None:
    """Write down why snapshots are about to be removed, and that no other is."""
    connection.execute(
        update(backup_snapshots)
        .where(backup_snapshots.c.repository == repository, backup_snapshots.c.removed.is_(None))
        .values(reason="")
    )
    for name, reason in reasons.items():
        connection.execute(
            update(backup_snapshots)
            .where(backup_snapshots.c.repository == repository, backup_snapshots.c.name == name)
            .values(reason=reason)
        )


def set_removed(
    connection: Connection, repository: str, names: Collection[str], now: float, reason: str = ""
) -> None:
    """They are gone; `reason` is for those that nobody intended to remove."""
    for name in names:
        values: dict[str, Any] = {"removed": now} | ({"reason": reason} if reason else {})
        connection.execute(
            update(backup_snapshots)
            .where(backup_snapshots.c.repository == repository, backup_snapshots.c.name == name)
            .values(values)
        )
    gone = (
        select(backup_snapshots.c.name)
        .where(backup_snapshots.c.repository == repository, backup_snapshots.c.removed.is_not(None))
        .order_by(backup_snapshots.c.received.desc())
        .offset(KEPT_REMOVED)
    )
    oldest = [row.name for row in connection.execute(gone)]
    if oldest:
        connection.execute(
            delete(backup_snapshots).where(
                backup_snapshots.c.repository == repository, backup_snapshots.c.name.in_(oldest)
            )
        )


def raise_alerts(connection: Connection, repository: str, found: Iterable[Alert], now: float) -> list[Alert]:
    """Write them down, but for what has one that is open; returns those that are new."""
    already = {(one.kind, one.group) for one in open_alerts(connection, repository)}
    new = [one for one in found if (one.kind, one.group) not in already]
    for one in new:
        connection.execute(
            insert(backup_alerts).values(
                repository=repository,
                kind=one.kind,
                scope="" if one.group is None else _encode(one.group).decode(),
                stops=one.kind in STOPPING,
                message=one.message,
                since=one.since,
                raised=now,
                acknowledged=None,
                acknowledged_by="",
            )
        )
    return new


def alerts(connection: Connection, repository: str | None = None) -> list[Raised]:
    """Of one repository or of all, the newest first."""
    statement = select(backup_alerts).order_by(backup_alerts.c.id.desc())
    if repository is not None:
        statement = statement.where(backup_alerts.c.repository == repository)
    return [_raised(row) for row in connection.execute(statement)]


def open_alerts(connection: Connection, repository: str | None = None, limit: int | None = None) -> list[Raised]:
    """Those that nobody has acknowledged and that have not ended, of one repository or of all, the newest first."""
    statement = _open(select(backup_alerts), repository).order_by(backup_alerts.c.id.desc()).limit(limit)
    return [_raised(row) for row in connection.execute(statement)]


def count_open_alerts(connection: Connection) -> int:
    """Of all repositories."""
    return int(connection.execute(_open(select(func.count()).select_from(backup_alerts), None)).scalar_one())


def acknowledge(connection: Connection, id: int, by: str, now: float) -> None:
    """End an alert."""
    connection.execute(
        update(backup_alerts).where(backup_alerts.c.id == id).values(acknowledged=now, acknowledged_by=by)
    )


def end_alerts(connection: Connection, repository: str, kinds: Collection[AlertKind], now: float) -> None:
    """What they were about has passed. Removes the oldest that ended."""
    connection.execute(
        update(backup_alerts)
        .where(
            backup_alerts.c.repository == repository,
            backup_alerts.c.acknowledged.is_(None),
            backup_alerts.c.kind.in_(list(kinds)),
        )
        .values(acknowledged=now)
    )
    # One of a group that stopped removal also says from when on the group's usual counts: it is not trimmed.
    old = (
        select(backup_alerts.c.id)
        .where(
            backup_alerts.c.repository == repository,
            backup_alerts.c.acknowledged.is_not(None),
            backup_alerts.c.scope == "",
        )
        .order_by(backup_alerts.c.id.desc())
        .offset(KEPT_ALERTS)
    )
    ids = [row.id for row in connection.execute(old)]
    if ids:
        connection.execute(delete(backup_alerts).where(backup_alerts.c.id.in_(ids)))


def begin(connection: Connection, repository: str, kind: WorkKind, now: float) -> int:
    """A work begins; returns its number."""
    done = connection.execute(
        insert(backup_works).values(repository=repository, kind=kind, started=now, finished=None, result="")
    )
    assert done.inserted_primary_key is not None
    old = (
        select(backup_works.c.id)
        .where(backup_works.c.repository == repository, backup_works.c.kind == kind)
        .order_by(backup_works.c.id.desc())
        .offset(KEPT_WORKS)
    )
    ids = [row.id for row in connection.execute(old)]
    if ids:
        connection.execute(delete(backup_works).where(backup_works.c.id.in_(ids)))
    return int(done.inserted_primary_key[0])


def finish(connection: Connection, id: int, result: Result, now: float) -> None:
    """It ended."""
    connection.execute(
        update(backup_works).where(backup_works.c.id == id).values(finished=now, result=_encode(result).decode())
    )


def works(connection: Connection, repository: str, kind: WorkKind, limit: int = KEPT_WORKS) -> list[Work]:
    """The newest first."""
    rows = connection.execute(
        select(backup_works)
        .where(backup_works.c.repository == repository, backup_works.c.kind == kind)
        .order_by(backup_works.c.id.desc())
        .limit(limit)
    )
    return [_work(row) for row in rows]


def last_works(connection: Connection) -> dict[tuple[str, WorkKind], Work]:
    """Of every repository and kind the newest."""
    newest = select(func.max(backup_works.c.id)).group_by(backup_works.c.repository, backup_works.c.kind)
    found = map(_work, connection.execute(select(backup_works).where(backup_works.c.id.in_(newest))))
    return {(one.repository, one.kind): one for one in found}


def _open(statement: Select[Any], repository: str | None) -> Select[Any]:
    statement = statement.where(backup_alerts.c.acknowledged.is_(None))
    return statement if repository is None else statement.where(backup_alerts.c.repository == repository)


def _raised(row: Row[Any]) -> Raised:
    return Raised(
        id=row.id,
        repository=row.repository,
        kind=cast(AlertKind, row.kind),
        group=_group(row.scope) if row.scope else None,
        stops=row.stops,
        message=row.message,
        since=row.since,
        raised=row.raised,
        acknowledged=row.acknowledged,
        acknowledged_by=row.acknowledged_by,
    )


def _work(row: Row[Any]) -> Work:
    return Work(
        id=row.id,
        repository=row.repository,
        kind=cast(WorkKind, row.kind),
        started=row.started,
        finished=row.finished,
        result=_result(row.result) if row.result else None,
    )
