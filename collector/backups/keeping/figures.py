"""What the command line, the API and the pages show of keeping: shapes, and how they are made of what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Literal

import msgspec
from sqlalchemy import Connection

from collector.backups import records as stock
from collector.backups.keeping import records
from collector.backups.keeping.alerts import AlertKind
from collector.backups.keeping.due import next_due
from collector.backups.keeping.facts import Flag
from collector.backups.keeping.keeper import BLIND, Plans
from collector.backups.keeping.records import Known, Raised, Work
from collector.backups.keeping.target import Target, host_names, targets
from collector.backups.settings import BackupOptions


class AlertFigure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody should look at."""

    id: int
    repository: str
    kind: AlertKind
    group: str
    """What it is about, for people; '' for the whole repository."""
    message: str
    stops: bool
    """Whether nothing of it is removed until it is acknowledged."""
    raised: float
    acknowledged: float | None
    acknowledged_by: str
    """'' where it ended by itself."""


class WorkFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One time that home kept or verified a repository."""

    started: float
    finished: float | None
    outcome: Literal["done", "waiting", "failed", "unfinished"]
    message: str
    removed: int
    bytes_freed: int
    packs_read: int
    bytes_read: int


class RepositoryFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at home."""

    name: str
    title: str
    """The name of the host whose own it is, or its own."""
    host: str | None
    """The id of the host whose own it is; None for a shared one."""
    used: int
    """Bytes."""
    files: int
    received: float | None
    """When a host last added to it."""
    policy: str
    """`keep 7 daily, 4 weekly`, or that everything is kept."""
    limits: str
    """What home cannot do, having no password; '' where it has one."""
    snapshots: int
    flagged: int
    alerts: list[AlertFigure]
    """Those that are open, the newest first."""
    last_keep: WorkFigure | None
    last_verify: WorkFigure | None
    next_keep: float


class SnapshotFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot, and what becomes of it."""

    name: str
    received: float
    claimed: float | None
    bytes: int | None
    files: int | None
    changed: int | None
    """Bytes in it that were new; where home cannot look, bytes received since the one before."""
    flags: tuple[Flag, ...]
    released: bool
    keep: bool
    reasons: tuple[str, ...]


class GroupFigure(msgspec.Struct, frozen=True, kw_only=True):
    """Snapshots that are weighed against each other, the last received first."""

    host: str
    """Who sent them: the name of the host; '' where home did not see them come."""
    hostname: str
    """What they say they were made on."""
    paths: tuple[str, ...]
    stopped: str
    """Why nothing of it is removed for now, or ''."""
    snapshots: list[SnapshotFigure]


class PlanFigure(msgspec.Struct, frozen=True, kw_only=True):
    """What keeping a repository would do."""

    repository: str
    title: str
    policy: str
    limits: str
    stopped: str
    unknown: int
    """Snapshots that home did not see come: they stay."""
    removed: int
    groups: list[GroupFigure]


def overview(connection: Connection, options: BackupOptions, *, now: float, zone: tzinfo) -> list[RepositoryFigure]:
    """All repositories."""
    stocks = {one.name: one for one in stock.repositories(connection)}
    last = records.last_works(connection)
    names = host_names(connection)
    return [
        repository_figure(
            target,
            stocks[target.name],
            records.known(connection, target.name),
            records.alerts(connection, target.name),
            (last.get((target.name, "keep")), last.get((target.name, "verify"))),
            names,
            next_keep=next_due(options.keeping.time, now, zone),
        )
        for target in targets(connection, options)
    ]


def repository_figure(
    target: Target,
    one: stock.Repository,
    known: Iterable[Known],
    alerts: Iterable[Raised],
    last: tuple[Work | None, Work | None],
    names: Mapping[str, str],
    *,
    next_keep: float,
) -> RepositoryFigure:
    """One of them; `last` has the last time it was kept and the last time it was verified."""
    there = [each.facts for each in known if each.removed is None]
    return RepositoryFigure(
        name=target.name,
        title=target.title,
        host=one.host,
        used=one.used,
        files=one.files,
        received=one.received,
        policy=policy_of(target),
        limits=limits_of(target),
        snapshots=len(there),
        flagged=sum(each.flagged for each in there),
        alerts=[alert_figure(alert, names) for alert in alerts if alert.acknowledged is None],
        last_keep=work_figure(last[0]),
        last_verify=work_figure(last[1]),
        next_keep=next_keep,
    )


def plan_figure(target: Target, plans: Plans, names: Mapping[str, str]) -> PlanFigure:
    """A plan; `names` has the names of hosts by their ids."""
    groups = [
        GroupFigure(
            host=names.get(group.group.host, group.group.host),
            hostname=group.group.hostname,
            paths=group.group.paths,
            stopped=group.stopped,
            snapshots=[
                SnapshotFigure(
                    name=one.snapshot.name,
                    received=one.snapshot.received,
                    claimed=one.snapshot.claimed,
                    bytes=one.snapshot.bytes,
                    files=one.snapshot.files,
                    changed=one.snapshot.changed,
                    flags=one.snapshot.flags,
                    released=one.snapshot.released,
                    keep=one.keep,
                    reasons=one.reasons,
                )
                for one in group.decisions
            ],
        )
        for group in plans.groups
    ]
    return PlanFigure(
        repository=target.name,
        title=target.title,
        policy=policy_of(target),
        limits=limits_of(target),
        stopped=plans.whole,
        unknown=plans.unknown,
        removed=len(plans.going),
        groups=groups,
    )


def alert_figure(alert: Raised, names: Mapping[str, str]) -> AlertFigure:
    """An alert; `names` has the names of hosts by their ids."""
    group = ""
    if alert.group is not None:
        host = names.get(alert.group.host, alert.group.host)
        said = alert.group.hostname if alert.group.hostname not in ("", host) else ""
        group = " ".join(filter(None, (host, said and f"as {said}", ", ".join(alert.group.paths))))
    return AlertFigure(
        id=alert.id,
        repository=alert.repository,
        kind=alert.kind,
        group=group,
        message=alert.message,
        stops=alert.stops,
        raised=alert.raised,
        acknowledged=alert.acknowledged,
        acknowledged_by=alert.acknowledged_by,
    )


def work_figure(work: Work | None) -> WorkFigure | None:
    """A work; None where there was none."""
    if work is None:
        return None
    result = work.result
    if result is None:
        return WorkFigure(
            started=work.started,
            finished=None,
            outcome="unfinished",
            message="it is under way, or was ended in the middle",
            removed=0,
            bytes_freed=0,
            packs_read=0,
            bytes_read=0,
        )
    return WorkFigure(
        started=work.started,
        finished=work.finished,
        outcome=result.outcome,
        message=result.message,
        removed=len(result.removed),
        bytes_freed=result.bytes_freed,
        packs_read=result.packs_read,
        bytes_read=result.bytes_read,
    )


def policy_of(target: Target) -> str:
    """What stays, in words."""
    return str(target.rules.keep) if target.rules.keep else "keep everything"


def limits_of(target: Target) -> str:
    """What home cannot do."""
    return "" if target.password_file is not None else BLIND
