"""What a run means beside those before it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.backups.records import KILLED, Begun
from wire import fit
from wire.report import BackupRun


def with_ages(run: BackupRun, before: Sequence[BackupRun], *, whole: bool, due: float | None = None) -> BackupRun:
    """A run with the times of the last success and of the last verified one; `before` are the runs that ended before
    it, the last one last. `whole`: it made a snapshot of all that it should hold, or there was nothing to save.
    """
    last_success = before[-1].last_success if before else None
    last_verified = before[-1].last_verified if before else None
    # One after this run's begin was told by a clock that was wrong then: it was before, nobody knows when.
    last_success = None if last_success is None else min(last_success, run.started)
    last_verified = None if last_verified is None else min(last_verified, run.started)
    if whole:
        last_success = run.finished
        if run.verified:
            last_verified = run.started
    found = msgspec.structs.replace(run, last_success=last_success, last_verified=last_verified, next=due)
    return fit.backup_run(found)


def is_success(run: BackupRun) -> bool:
    """Whether it made a snapshot of all that it should hold."""
    return run.last_success == run.finished


def lost(begun: Begun, before: Sequence[BackupRun], *, now: float, message: str = KILLED) -> BackupRun:
    """What is on record of a run of which nothing was heard any more."""
    run = BackupRun(
        job=begun.name,
        source=begun.source,
        repository=begun.repository,
        started=begun.started,
        finished=max(begun.started, now),
        outcome="failed",
        message=message,
    )
    return with_ages(run, before, whole=False)
