"""The backup jobs of this host: missed, failed, shrunken, oddly grown, and not verified for too long.

It reads what is on record of runs, whoever started them, and what the agent has planned; it opens no repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Annotated

import msgspec

from agent.backups.job.history import is_success
from agent.backups.plan import Planned, decode, key_of
from agent.backups.records import Begun, Book
from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Floor,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.thresholds import resolve
from agent.paths import System
from agent.timetable import last_due, next_due
from kit.units import Duration, format_duration, format_size
from wire.report import BackupRun, State

_DAY = 86400
LOOKED_AT = 30
"""Runs of each job."""
USUAL = 10
"""Successes of which the median is what is usual."""
ENOUGH = 3
"""Successes before one can say what is usual."""
SMALL = 16 << 20
"""Bytes of files below which what a snapshot itself takes weighs too much to say how much was new."""
MOST_MISSED = 100
VARYING = frozenset({"postgresql_wal"})
"""Sources of which each snapshot holds what came since the one before: no size of it is usual."""


class BackupCheckOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The backup jobs. `overrides` tell jobs apart by the label `job`."""

    every: Every = Duration(60)
    late: Annotated[
        Duration,
        msgspec.Meta(
            description="How long after its time a run may end before it counts as missed; one that goes on has all "
            "of its own time limit.",
            examples=["4h"],
        ),
    ] = Duration(3600)
    missed: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the times at which a run was due since the last one that did well.",
            examples=[{"warning": 1, "critical": 3}],
        ),
    ] = Threshold(warning=1, critical=2)
    failed: Annotated[Threshold, msgspec.Meta(description="Bounds of the runs that failed one after the other.")] = (
        Threshold(warning=1, critical=2)
    )
    age: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the seconds since the last run that did well.",
            examples=[{"warning": 93600, "critical": 180000}],
        ),
    ] = Threshold()
    unverified: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the seconds since the last run began that was verified, of jobs that verify.",
            examples=[{"warning": 172800}],
        ),
    ] = Threshold(warning=8 * _DAY, critical=31 * _DAY)
    shrunken: Annotated[
        Floor,
        msgspec.Meta(
            description=f"Bounds of the percentage by which the last snapshot's files are larger (smaller: below 0) "
            f"than usual, which is the median of the {USUAL} successes before.",
            examples=[{"warning": -20, "critical": -50}],
        ),
    ] = Floor(warning=-50, critical=-80)
    grown: Annotated[Threshold, msgspec.Meta(description="The same upwards.", examples=[{"warning": 50}])] = (
        Threshold(warning=100)
    )
    added: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of what the last run added to the repository, in percent of the files' size: much of "
            "it is new at once where somebody encrypts the files.",
            examples=[{"warning": 30, "critical": 90}],
        ),
    ] = Threshold(warning=75)


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record of a job."""

    planned: Planned
    runs: Sequence[BackupRun] = ()
    """Those that ended, the last one last."""
    going_on: Sequence[Begun] = ()


class BackupCheck(Check[BackupCheckOptions]):
    """The backup jobs of the configuration in force."""

    Options = BackupCheckOptions
    needs = "backups"

    @classmethod
    def default(cls, system: System) -> BackupCheckOptions | None:
        """Where there are jobs (`needs`)."""
        return BackupCheckOptions()

    def rules(self) -> list[Rule]:
        """Misses, ages, sizes; failures are judged with their reasons."""
        options = self.options
        return [
            Rule("backup_missed_runs", options.missed, "{job} did not do well the last {value} times it was due"),
            Rule("backup_age_seconds", options.age, "{job} did well {value} ago"),
            Rule("backup_verified_age_seconds", options.unverified, "{job} was verified {value} ago"),
            Rule("backup_size_change_percent", options.shrunken, "{job} differs by {value} from its usual size"),
            Rule("backup_size_change_percent", options.grown, "{job} differs by {value} from its usual size"),
            Rule("backup_added_percent", options.added, "{job}: {value} of it was new"),
        ]

    def collect(self, context: Context) -> Sample:
        """Read the records."""
        book = Book(context.system.state, "backups", BackupRun)
        try:
            known = [
                Known(
                    planned,
                    [one.record.run for one in book.runs(name, last=LOOKED_AT)],
                    book.going_on(name),
                )
                for name, planned in sorted(decode(book.plan()).items())
            ]
        except OSError as error:
            raise CheckError(
                f"{context.system.state}: {error.strerror}; run as the agent's user or as root"
            ) from error
        return derive(known, self.options, context.now, host=os.uname().nodename)


def derive(known: Sequence[Known], options: BackupCheckOptions, now: float, *, host: str) -> Sample:
    """What it comes to."""
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    for job in known:
        measurements += _measure(job, options, now, host)
        findings += _judge(job, options)
    return Sample(measurements, findings, _summary(known, now))


def missed(job: Known, late: float, now: float, *, host: str) -> int:
    """How often it was due since it last did well, and when one could expect it to have done so again.

    Raises CheckError for a timetable that cannot be read.
    """
    if not job.planned.schedule:
        return 0
    try:
        schedule, key = job.planned.timetable(), key_of("backup", job.planned.name)
    except ValueError as error:
        raise CheckError(f"the timetable of {job.planned.name} cannot be read: {error}") from None
    done = [run.started for run in job.runs if is_success(run)]
    if not done and job.runs and job.runs[-1].last_success is not None:
        done = [job.runs[-1].last_success]  # longer ago than what is looked at
    # What lies ahead was told by a clock that was wrong, and would hide all that is missed until then.
    since = max([job.planned.since, *(moment for moment in done if moment <= now)])
    last = last_due(schedule, datetime.fromtimestamp(now - late, UTC), host=host, job=key)
    # A run that goes on is not missed, however late it is, but where it hangs so that not even its own limit ends it.
    for begun in (begun for begun in job.going_on if now - begun.started <= job.planned.patience):
        mine = last_due(schedule, datetime.fromtimestamp(begun.started, UTC), host=host, job=key)
        last = min(last, mine - timedelta(seconds=1))
    count, due = 0, datetime.fromtimestamp(since, UTC)
    while count < MOST_MISSED and (due := next_due(schedule, due, host=host, job=key)) <= last:
        count += 1
    return count


def usual_size(runs: Sequence[BackupRun]) -> float | None:
    """The median size of the successes before the last run, in bytes; None while nobody can say."""
    sizes = [run.bytes for run in runs[:-1] if is_success(run) and run.snapshot][-USUAL:]
    return median(sizes) if len(sizes) >= ENOUGH else None


def _measure(job: Known, options: BackupCheckOptions, now: float, host: str) -> Iterator[Measurement]:
    labels = {"job": job.planned.name}
    if job.planned.schedule:
        count = missed(job, options.late, now, host=host)
        yield Measurement("backup_missed_runs", count, labels=labels)
    if not job.runs:
        return
    last = job.runs[-1]
    yield Measurement("backup_failed_runs", failed_runs(job.runs), labels=labels)
    yield Measurement("backup_duration_seconds", last.finished - last.started, "seconds", labels)
    if last.last_success is not None:
        yield Measurement("backup_age_seconds", max(0.0, now - last.last_success), "seconds", labels)
    if job.planned.verifies_since is not None:
        verified = max(job.planned.verifies_since, last.last_verified or 0.0)
        yield Measurement("backup_verified_age_seconds", max(0.0, now - verified), "seconds", labels)
    made = [run for run in job.runs if run.snapshot]
    if made:
        yield Measurement("backup_size_bytes", made[-1].bytes, "bytes", labels)
        yield Measurement("backup_added_bytes", made[-1].bytes_added, "bytes", labels)
    if last.snapshot and last.source not in VARYING and (usual := usual_size(job.runs)):
        yield Measurement("backup_size_change_percent", 100 * (last.bytes / usual - 1), "percent", labels)
        if last.bytes >= SMALL:
            yield Measurement("backup_added_percent", 100 * last.bytes_added / last.bytes, "percent", labels)


def failed_runs(runs: Sequence[BackupRun]) -> int:
    """How many of the last runs failed, one after the other."""
    count = 0
    while count < len(runs) and runs[-1 - count].outcome == "failed":
        count += 1
    return count


def _judge(job: Known, options: BackupCheckOptions) -> Iterator[Finding]:
    if not job.runs:
        return
    name, last = job.planned.name, job.runs[-1]
    if last.outcome == "partial":
        yield Finding("warning", f"{name} is partial: {last.message}")
    count = failed_runs(job.runs)
    state = _state(count, options.failed, {"job": name})
    if count and state != "ok":
        times = f" {count} times in a row" if count > 1 else ""
        yield Finding(state, f"{name} failed{times}: {last.message}")


def _state(count: int, threshold: Threshold, labels: Mapping[str, str]) -> State:
    bounds = resolve(threshold, labels)
    if not isinstance(bounds.critical, str) and count >= bounds.critical:
        return "critical"
    return "warning" if not isinstance(bounds.warning, str) and count >= bounds.warning else "ok"


def _summary(known: Sequence[Known], now: float) -> str:
    if not known:
        return "no backup jobs are configured"
    jobs = f"{len(known)} job{'s' * (len(known) != 1)}"
    ages = [now - job.runs[-1].last_success for job in known if job.runs and job.runs[-1].last_success is not None]
    if not ages:
        return f"{jobs}, none has done well yet"
    size = sum(next((run.bytes for run in reversed(job.runs) if run.snapshot), 0) for job in known)
    return f"{jobs}, {format_size(size)}, the oldest success {format_duration(max(0, round(max(ages))))} ago"
