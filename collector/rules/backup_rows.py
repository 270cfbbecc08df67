"""How the jobs and drills of hosts stand, as rows that the API gives and pages show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from collector.api.backup_shapes import BackupRow, DrillRow, Size, Tried
from collector.api.shapes import HostState
from collector.rules.backup_state import (
    NO_BACKUP,
    UNVERIFIED,
    Finding,
    drill_overdue,
    judge,
    judge_drill,
    judge_untried,
    overdue,
    point_target,
    recovery_point,
    worst,
)
from collector.rules.backups import DAY, DrillPoint, DrillStanding, JobStanding, SizePoint
from wire.report import SEVERITY, State

SKEWED = 2.0
"""Seconds by which a host's clock is off before it is taken into account: less is mostly the way of reports."""


class HostLine(msgspec.Struct, frozen=True, kw_only=True):
    """What of a host its rows need."""

    id: str
    name: str
    state: HostState
    clock_offset: float
    """Seconds that its clock is ahead of home's."""
    drills: dict[str, float] = {}
    """Its drills with a timetable, and since when each is due by its clock; 0.0 where it is not."""

    @property
    def ahead(self) -> float:
        """What is taken off the host's times."""
        return self.clock_offset if abs(self.clock_offset) >= SKEWED else 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A job, or a host without any: what a row is made of once it is shown. Times are by the host's clock."""

    line: HostLine
    ahead: float
    """What is taken off its times."""
    name: str
    """Of the job; '' for a host of which no backup was ever reported, or a drill was never run."""
    job: JobStanding | None
    drills: Sequence[tuple[str, DrillStanding]]
    findings: list[Finding]
    state: State

    @property
    def measured(self) -> DrillStanding | None:
        """The last of its drills that measured how long all of it takes."""
        known = (drill for _, drill in self.drills if drill.recovery_time is not None)
        return max(known, key=lambda drill: drill.last.finished, default=None)


def entries(
    hosts: Iterable[HostLine],
    jobs: Iterable[tuple[str, str, JobStanding]],
    drills: Iterable[tuple[str, str, DrillStanding]],
    *,
    now: float,
    unverified: float = UNVERIFIED,
) -> list[Entry]:
    """One for each job of each host, and one for a host without any, or with a drill that should have been run and
    never was; in the order of hosts and jobs.

    `jobs` and `drills` are (host, name, how it stands); `now` is home's clock; `unverified` as `judge` has it.
    """
    jobs_of: defaultdict[str, dict[str, JobStanding | None]] = defaultdict(dict)
    drills_of: defaultdict[tuple[str, str], list[tuple[str, DrillStanding]]] = defaultdict(list)
    tried: defaultdict[str, set[str]] = defaultdict(set)
    for host, name, job in jobs:
        jobs_of[host][name] = job
    for host, name, drill in drills:
        jobs_of[host].setdefault(drill.last.job, None)
        drills_of[host, drill.last.job].append((name, drill))
        tried[host].add(name)
    found: list[Entry] = []
    for line in hosts:
        ahead = line.ahead
        known = jobs_of.get(line.id, {})
        missed = [one for one in untried(line, tried.get(line.id, ()), now=now) if one.state == "critical"]
        if missed or not known:
            about = missed if known else [*missed, NO_BACKUP]
            found.append(Entry(line, ahead, "", None, (), about, worst(about)))
        quiet = line.state == "down"
        for name, standing in known.items():
            of_job = drills_of.get((line.id, name), ())
            findings = judge(standing, of_job, now=now + ahead, quiet=quiet, unverified=unverified)
            found.append(Entry(line, ahead, name, standing, of_job, findings, worst(findings)))
    return found


def untried(line: HostLine, tried: Collection[str], *, now: float) -> list[Finding]:
    """What is wrong with drills of a host that were never run; `tried` are the others. By the host's clock."""
    return [
        judge_untried(name, due, now=now + line.ahead)
        for name, due in sorted(line.drills.items())
        if name not in tried
    ]


def drill_rows(
    hosts: Iterable[HostLine], drills: Iterable[tuple[str, str, DrillStanding]], *, now: float
) -> list[DrillRow]:
    """One for each drill, the worst first."""
    lines = {line.id: line for line in hosts}
    return _in_order(_drill_row(lines[host], name, drill, now=now) for host, name, drill in drills if host in lines)


def sizes(points: Sequence[SizePoint], ahead: float) -> list[Size]:
    """The oldest first."""
    return [Size(time=max(0.0, point.day * DAY - ahead), bytes=point.bytes, added=point.added) for point in points]


def tried(points: Sequence[DrillPoint], ahead: float) -> list[Tried]:
    """The oldest first."""
    return [
        Tried(
            time=point.time - ahead,
            held=point.held,
            recovery_point=point.recovery_point,
            recovery_time=point.recovery_time,
            estimated=point.estimated,
        )
        for point in points
    ]


def as_homes(findings: Iterable[Finding], ahead: float) -> list[Finding]:
    """The same with the times of home's clock."""
    return [replace(finding, time=_less(finding.time, ahead)) for finding in findings]


def row(entry: Entry, *, now: float) -> BackupRow:
    """What is shown of an entry; `now` is home's clock."""
    line, ahead, job, drills = entry.line, entry.ahead, entry.job, entry.drills
    last = None if job is None else job.last
    measured = entry.measured
    return BackupRow(
        host=line.id,
        host_name=line.name,
        host_state=line.state,
        job=entry.name,
        state=entry.state,
        findings=as_homes(entry.findings, ahead),
        source=last.source if last else "",
        repository=last.repository if last else "",
        outcome=last.outcome if last else None,
        started=_less(last.started, ahead) if last else None,
        finished=_less(last.finished, ahead) if last else None,
        failures=job.failures if job else 0,
        snapshot=last.snapshot if last else "",
        files=job.files if job else 0,
        bytes=job.bytes if job else 0,
        bytes_read=last.bytes_read if last else 0,
        bytes_added=last.bytes_added if last else 0,
        errors=last.errors if last else 0,
        message=last.message if last else "",
        copies=last.copies if last else [],
        point=_less(job.point, ahead) if job else None,
        last_success=_less(job.last_success, ahead) if job else None,
        last_verified=_less(job.last_verified, ahead) if job else None,
        next=_less(last.next, ahead) if last else None,
        overdue=job is not None and overdue(job, now + ahead) is not None,
        growth=job.growth if job else None,
        added=job.added if job else None,
        recovery_point=recovery_point(job, now + ahead) if job else None,
        rpo=point_target(drills),
        recovery_time=measured.recovery_time if measured else None,
        estimated=measured is not None and measured.estimated,
        rto=min((drill.last.rto for _, drill in drills if drill.last.rto is not None), default=None),
        drills=_in_order(_drill_row(line, drill_name, drill, now=now) for drill_name, drill in drills),
    )


def _drill_row(line: HostLine, name: str, drill: DrillStanding, *, now: float) -> DrillRow:
    ahead, last = line.ahead, drill.last
    findings = as_homes(judge_drill(name, drill, now=now + ahead), ahead)
    return DrillRow(
        host=line.id,
        host_name=line.name,
        name=name,
        job=last.job,
        kind=last.kind,
        state=worst(findings),
        findings=findings,
        repository=last.repository,
        outcome=last.outcome,
        started=last.started - ahead,
        finished=last.finished - ahead,
        snapshot=last.snapshot,
        snapshot_time=_less(last.snapshot_time, ahead),
        files=last.files,
        bytes=last.bytes,
        total_bytes=last.total_bytes,
        differing=last.differing,
        recovery_point=last.recovery_point,
        recovery_time=last.recovery_time,
        estimated=last.estimated,
        rpo=last.rpo,
        rto=last.rto,
        assertion=last.assertion,
        message=last.message,
        held=_less(drill.held, ahead),
        next=_less(last.next, ahead),
        overdue=drill_overdue(drill, now + ahead) is not None,
        trend=drill.trend,
    )


def _in_order(found: Iterable[DrillRow]) -> list[DrillRow]:
    return sorted(found, key=lambda row: (-SEVERITY.index(row.state), row.host_name.casefold(), row.host, row.name))


def _less(time: float | None, ahead: float) -> float | None:
    return None if time is None else time - ahead
