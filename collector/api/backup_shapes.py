"""What the API gives of backups and drills, and the pages show. Times are home's: hosts' clocks are taken out."""

from __future__ import annotations

from typing import Literal

import msgspec

from collector.api.shapes import HostState
from collector.rules.backup_state import Finding
from wire.report import BackupCopy, State


class DrillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A drill of a host, and what the last one measured."""

    host: str
    host_name: str
    name: str
    job: str
    kind: Literal["sample", "full", "database"]
    state: State
    """`critical` where it failed, or was not run when it was due, or missed the target for the recovery time."""
    findings: list[Finding]
    repository: str
    outcome: Literal["done", "failed"]
    started: float
    finished: float
    snapshot: str
    snapshot_time: float | None
    files: int
    bytes: int
    total_bytes: int
    """Of the whole snapshot."""
    differing: int
    recovery_point: float | None
    """Seconds: how old what came back was."""
    recovery_time: float | None
    """Seconds until all of it is back."""
    estimated: bool
    """Whether `recovery_time` is estimated from a sample."""
    rpo: float | None
    """Seconds: the target for `recovery_point`."""
    rto: float | None
    assertion: Literal["", "held", "failed"]
    message: str
    held: float | None
    """When the last one ended that found everything as it should be."""
    next: float | None
    overdue: bool
    trend: float | None
    """By which part the last recovery took longer than usual: 0.1 is 10 % more."""


class BackupRow(msgspec.Struct, frozen=True, kw_only=True):
    """A backup job of a host; or, with an empty `job`, a host of which no backup was ever reported, or a drill was
    never run that should have been."""

    host: str
    host_name: str
    host_state: HostState
    job: str
    state: State
    findings: list[Finding]
    """What is wrong, the worst first."""
    source: str
    repository: str
    outcome: Literal["done", "partial", "failed"] | None
    """Of the last run; None where none was reported."""
    started: float | None
    finished: float | None
    failures: int
    """Runs in a row, up to the last one, that did not save all they should."""
    snapshot: str
    files: int
    """In the last snapshot, also where the last run made none; so are `bytes`."""
    bytes: int
    bytes_read: int
    bytes_added: int
    errors: int
    message: str
    copies: list[BackupCopy]
    point: float | None
    """When the last run began that saved all it should: what would come back is as of then."""
    last_success: float | None
    """When such a run last ended."""
    last_verified: float | None
    next: float | None
    overdue: bool
    growth: float | None
    """Bytes a day by which what is backed up grew over the last 30 days."""
    added: float | None
    """Bytes a day by which the repository grew."""
    recovery_point: float | None
    """Seconds: how old what would come back now is; None where nothing would."""
    rpo: float | None
    """Seconds: the target that the job's drills have for it."""
    recovery_time: float | None
    """Seconds until all of it is back, by the last drill that measured it."""
    estimated: bool
    rto: float | None
    drills: list[DrillRow]
    """Of this job, the worst first."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """A job on one day."""

    time: float
    """The beginning of the day, UTC."""
    bytes: int
    """Of the day's last snapshot."""
    added: int
    """What all runs of the day added to the repository."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One drill of a trend."""

    time: float
    held: bool
    recovery_point: float | None
    recovery_time: float | None
    estimated: bool
