"""Queries about hosts: who they are, how they stand, and what they reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, Select, Table, bindparam, delete, func, insert, or_, select, update

from collector.api.shapes import StateChange
from collector.rules.backup_rows import HostLine
from collector.rules.highlights import Vitals, planned_drills
from collector.rules.intake import HostRecord
from collector.store import backups, logs, packages
from collector.store.backups import Came
from collector.store.database import upsert, write_rows
from collector.store.tables import changes, events, gaps, hosts, job_runs, streams
from wire.packages import Packages
from wire.report import BackupRun, CheckState, Drill, Event, Gap, JobResult, LogSummary

KEPT_STREAMS = 8
"""Per host: a new one begins when a host loses its state."""
KEPT_CHANGES = 1000
KEPT_EVENTS = 1000
KEPT_RUNS = 100
"""Per job."""
KEPT_JOBS = 200
"""Names of jobs per host."""
KEPT_GAPS = 200

_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(dict[str, str])
_checks = msgspec.json.Decoder(list[CheckState])
_vitals = msgspec.json.Decoder(Vitals)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a host's signature is verified with. A revoked host has no key."""

    key: bytes | None
    revoked: bool


@dataclass(slots=True)
class Intake:
    """Rows that a group of reports adds, each with its host's id."""

    changes: list[tuple[str, StateChange]] = field(default_factory=list)
    events: list[tuple[str, Event]] = field(default_factory=list)
    jobs: list[tuple[str, JobResult]] = field(default_factory=list)
    gaps: list[tuple[str, Gap]] = field(default_factory=list)
    logs: list[tuple[str, LogSummary]] = field(default_factory=list)
    backups: list[Came[BackupRun]] = field(default_factory=list)
    drills: list[Came[Drill]] = field(default_factory=list)
    packages: dict[str, tuple[Packages, float]] = field(default_factory=dict)
    """With when they were received."""


def add_host(connection: Connection, record: HostRecord, public_key: bytes) -> None:
    """Raises sqlalchemy.exc.IntegrityError where the name or the key is that of a host that is not revoked."""
    connection.execute(
        insert(hosts).values(id=record.id, public_key=public_key, **_identity(record), **_standing(record))
    )


def credential(connection: Connection, host: str) -> Credential | None:
    """None for an id that was never given."""
    row = connection.execute(select(hosts.c.public_key, hosts.c.revoked).where(hosts.c.id == host)).first()
    return None if row is None else Credential(key=row.public_key, revoked=row.revoked is not None)


def active_by_key(connection: Connection, public_key: bytes) -> HostRecord | None:
    """The host, not revoked, that has this key."""
    return _one(connection, _active().where(hosts.c.public_key == public_key))


def find_namesake(connection: Connection, name: str) -> HostRecord | None:
    """The host, not revoked, whose id is `name` or whose name is, whatever the case: nobody tells these apart."""
    same = or_(hosts.c.id == name, func.lower(hosts.c.name) == name.lower())
    return _one(connection, _active().where(same))


def find_active(connection: Connection, id_or_name: str) -> HostRecord | None:
    """The host, not revoked, of this id, else of this name."""
    found = connection.execute(
        _active().where(or_(hosts.c.id == id_or_name, hosts.c.name == id_or_name)).order_by(hosts.c.id != id_or_name)
    ).first()
    return None if found is None else _record(found)


def active_hosts(connection: Connection) -> list[HostRecord]:
    """Every host that is not revoked, by name."""
    return [_record(row) for row in connection.execute(_active().order_by(hosts.c.name))]


def lines(connection: Connection) -> list[HostLine]:
    """The least of every host that is not revoked, by name."""
    columns = hosts.c.id, hosts.c.name, hosts.c.state, hosts.c.clock_offset, hosts.c.vitals
    rows = connection.execute(select(*columns).where(hosts.c.revoked.is_(None)).order_by(hosts.c.name))
    return [
        HostLine(id=id_, name=name, state=state, clock_offset=offset, drills=planned_drills(_vitals.decode(vitals)))
        for id_, name, state, offset, vitals in rows
    ]


def records(connection: Connection, ids: Collection[str]) -> dict[str, HostRecord]:
    """Those of `ids` that are hosts and not revoked."""
    return {row.id: _record(row) for row in connection.execute(_RECORDS, {"ids": ids})}


def save_standing(connection: Connection, saved: Collection[HostRecord]) -> None:
    """Write how these hosts stand; who they are (id, name, key) stays."""
    write_rows(connection, _SAVE, [{"key": record.id, **_standing(record)} for record in saved])


def rename(connection: Connection, host: str, name: str) -> None:
    """Raises sqlalchemy.exc.IntegrityError where another host that is not revoked has the name."""
    connection.execute(update(hosts).where(hosts.c.id == host).values(name=name))


def revoke(connection: Connection, host: str, now: float) -> None:
    """Forget the host's key, free its name; its next report is refused in every process that serves."""
    connection.execute(update(hosts).where(hosts.c.id == host).values(revoked=now, public_key=None))


def marks(connection: Connection, ids: Collection[str]) -> dict[tuple[str, str], int]:
    """(host, epoch) to the highest sequence number stored."""
    return {(host, epoch): sequence for host, epoch, sequence in connection.execute(_MARKS, {"ids": ids})}


def save_marks(connection: Connection, saved: Mapping[tuple[str, str], int], now: float) -> None:
    """Write the highest sequence number stored of each (host, epoch)."""
    write_rows(
        connection,
        upsert(connection, streams, ("host_id", "epoch"), ("sequence", "updated")),
        [
            {"host_id": host, "epoch": epoch, "sequence": sequence, "updated": now}
            for (host, epoch), sequence in saved.items()
        ],
    )


def add_intake(connection: Connection, intake: Intake) -> None:
    """Store what happened."""
    _add(connection, changes, [(host, _change_row(change)) for host, change in intake.changes])
    _add(connection, events, [(host, _event_row(event)) for host, event in intake.events])
    _add(connection, job_runs, [(host, msgspec.structs.asdict(job)) for host, job in intake.jobs])
    _add(connection, gaps, [(host, msgspec.structs.asdict(gap)) for host, gap in intake.gaps])
    logs.add_days(connection, intake.logs)
    backups.add_runs(connection, intake.backups)
    backups.add_drills(connection, intake.drills)
    packages.save(connection, intake.packages)


def recent_changes(connection: Connection, host: str, limit: int) -> list[StateChange]:
    """The newest first."""
    rows = connection.execute(_newest(changes, host, limit))
    return [
        StateChange(time=row.time, check=row.check_name, before=row.before, after=row.after, message=row.message)
        for row in rows
    ]


def recent_events(connection: Connection, host: str, limit: int) -> list[Event]:
    """The newest first."""
    rows = connection.execute(_newest(events, host, limit))
    return [
        Event(time=row.time, kind=row.kind, message=row.message, state=row.state, check=row.check_name)
        for row in rows
    ]


def last_runs(connection: Connection, host: str) -> list[JobResult]:
    """The last run of each job, by name."""
    last = select(func.max(job_runs.c.id)).where(job_runs.c.host_id == host).group_by(job_runs.c.name)
    rows = connection.execute(select(job_runs).where(job_runs.c.id.in_(last)).order_by(job_runs.c.name))
    return [
        JobResult(
            name=row.name,
            started=row.started,
            finished=row.finished,
            outcome=row.outcome,
            exit_code=row.exit_code,
            message=row.message,
            cpu=row.cpu,
            peak_memory=row.peak_memory,
        )
        for row in rows
    ]


def prune(connection: Connection) -> None:
    """Remove what is beyond the bounds: of each host the oldest changes, events, runs, gaps and streams."""
    for table, kept in ((changes, KEPT_CHANGES), (events, KEPT_EVENTS), (gaps, KEPT_GAPS)):
        _prune(connection, table, [table.c.host_id], kept)
    _prune(connection, job_runs, [job_runs.c.host_id, job_runs.c.name], KEPT_RUNS)
    _prune(connection, job_runs, [job_runs.c.host_id], KEPT_JOBS * KEPT_RUNS)
    logs.prune(connection)
    ranked = select(
        streams.c.host_id,
        streams.c.epoch,
        func.row_number().over(partition_by=streams.c.host_id, order_by=streams.c.updated.desc()).label("place"),
    ).subquery()
    old = connection.execute(select(ranked.c.host_id, ranked.c.epoch).where(ranked.c.place > KEPT_STREAMS)).all()
    for row in old:
        connection.execute(delete(streams).where(streams.c.host_id == row.host_id, streams.c.epoch == row.epoch))


def _prune(connection: Connection, table: Table, group: list[Any], kept: int) -> None:
    place = func.row_number().over(partition_by=group, order_by=table.c.id.desc()).label("place")
    ranked = select(table.c.id, place).subquery()
    connection.execute(delete(table).where(table.c.id.in_(select(ranked.c.id).where(ranked.c.place > kept))))


def _active() -> Select[Any]:
    return select(hosts).where(hosts.c.revoked.is_(None))


def _newest(table: Table, host: str, limit: int) -> Select[Any]:
    return select(table).where(table.c.host_id == host).order_by(table.c.id.desc()).limit(limit)


def _one(connection: Connection, statement: Select[Any]) -> HostRecord | None:
    row = connection.execute(statement).first()
    return None if row is None else _record(row)


def _add(connection: Connection, table: Table, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    values = [{"host_id": host, **row} for host, row in rows]
    if values:
        connection.execute(insert(table), values)


def _change_row(change: StateChange) -> dict[str, Any]:
    row = msgspec.structs.asdict(change)
    row["check_name"] = row.pop("check")
    return row


def _event_row(event: Event) -> dict[str, Any]:
    row = msgspec.structs.asdict(event)
    row["check_name"] = row.pop("check")
    return row


def _identity(record: HostRecord) -> dict[str, Any]:
    return {"name": record.name, "enrolled": record.enrolled}


def _standing(record: HostRecord) -> dict[str, Any]:
    return {
        "agent": record.agent,
        "facts": _encode(record.facts),
        "state": record.state,
        "since": record.since,
        "message": record.message,
        "epoch": record.epoch,
        "boot": record.boot,
        "received": record.received,
        "reported": record.reported,
        "interval": record.interval,
        "clock_offset": record.clock_offset,
        "checks": _encode(record.checks),
        "vitals": _encode(record.vitals),
        **{f"lost_{kind}": record.lost.get(kind, 0) for kind in LOST},
    }


def _record(row: Row[Any]) -> HostRecord:
    return HostRecord(
        id=row.id,
        name=row.name,
        enrolled=row.enrolled,
        agent=row.agent,
        facts=_facts.decode(row.facts),
        state=row.state,
        since=row.since,
        message=row.message,
        epoch=row.epoch,
        boot=row.boot,
        received=row.received,
        reported=row.reported,
        interval=row.interval,
        clock_offset=row.clock_offset,
        checks=_checks.decode(row.checks),
        vitals=_vitals.decode(row.vitals),
        lost={kind: getattr(row, f"lost_{kind}") for kind in LOST},
    )


LOST = ("readings", "events", "job_results", "reports")
"""What a gap counts."""

_SAVE = (
    update(hosts)
    .where(hosts.c.id == bindparam("key"))
    .values(
        {
            column.name: bindparam(column.name)
            for column in hosts.c
            if column.name not in ("id", "name", "public_key", "enrolled", "revoked")
        }
    )
)

# Built once: every group of reports executes them, and building a statement costs as much as executing it.
_RECORDS = _active().where(hosts.c.id.in_(bindparam("ids", expanding=True)))
_MARKS = select(streams.c.host_id, streams.c.epoch, streams.c.sequence).where(
    streams.c.host_id.in_(bindparam("ids", expanding=True))
)
