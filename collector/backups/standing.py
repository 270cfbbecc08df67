"""How jobs and drills stand, out of the database: what the API gives and the pages show."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from collector.api.backup_shapes import BackupRow, DrillRow, Size, Tried
from collector.backups.at_home import AtHome, at_home
from collector.backups.service import Backups
from collector.rules import backup_rows
from collector.rules.backup_rows import Entry, HostLine
from collector.rules.backup_state import Finding
from collector.rules.highlights import planned_drills
from collector.rules.intake import HostRecord
from collector.store import backups, hosts


class HostBackups(msgspec.Struct, frozen=True, kw_only=True):
    """All backup jobs and drills of one host."""

    host: str
    host_name: str
    jobs: list[BackupRow]
    """In the order of their names; one without a name where no backup was ever reported."""
    sizes: dict[str, list[Size]]
    """Of each job, by days, the oldest first."""
    drills: list[DrillRow]
    """The worst first."""
    untried: list[Finding]
    """What is wrong with drills that were never run: one for each."""
    trends: dict[str, list[Tried]]
    """Of each drill, the oldest first."""
    home: AtHome | None
    """Its repository here; None where home keeps no repositories, or nobody asked for it."""


def overview(connection: Connection, now: float, unverified: float) -> list[Entry]:
    """Every job of every host; `unverified` is how many seconds one may go without being verified."""
    return backup_rows.entries(
        hosts.lines(connection),
        backups.jobs(connection),
        backups.plans(connection),
        now=now,
        unverified=unverified,
    )


def drills(connection: Connection, now: float) -> list[DrillRow]:
    """Every drill of every host, the worst first."""
    return backup_rows.drill_rows(hosts.lines(connection), backups.plans(connection), now=now)


def of_host(
    connection: Connection, record: HostRecord, kept: Backups | None, now: float, unverified: float
) -> HostBackups:
    """One host, as `overview`; `kept` are the repositories at home, None to leave out what is there."""
    line = line_of(record)
    jobs, plans = backups.jobs(connection, record.id), backups.plans(connection, record.id)
    sizes = backups.sizes(connection, [(record.id, job) for _, job, _ in jobs])
    trends = backups.trends(connection, [(record.id, name) for _, name, _ in plans])
    return HostBackups(
        host=record.id,
        host_name=record.name,
        jobs=[
            backup_rows.row(entry, now=now)
            for entry in backup_rows.entries([line], jobs, plans, now=now, unverified=unverified)
        ],
        sizes={job: backup_rows.sizes(points, line.ahead) for (_, job), points in sizes.items()},
        drills=backup_rows.drill_rows([line], plans, now=now),
        untried=backup_rows.as_homes(backup_rows.untried(line, {name for _, name, _ in plans}, now=now), line.ahead),
        trends={name: backup_rows.tried(points, line.ahead) for (_, name), points in trends.items()},
        home=None if kept is None else at_home(connection, kept, record, now),
    )


def line_of(record: HostRecord) -> HostLine:
    """What of a host its rows need."""
    return HostLine(
        id=record.id,
        name=record.name,
        state=record.state,
        clock_offset=record.clock_offset,
        drills=planned_drills(record.vitals),
    )


def trends(connection: Connection, rows: Iterable[BackupRow], each: int) -> dict[tuple[str, str], list[Tried]]:
    """(host, drill) to its trend, of the first `each` drills of these rows; times are by the host's clock."""
    keys = [(row.host, drill.name) for row in rows for drill in row.drills[:each]]
    return {key: backup_rows.tried(points, 0.0) for key, points in backups.trends(connection, keys).items()}
