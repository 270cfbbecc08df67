"""What a drill means beside those before it, and what is on record of one that was killed (pure)."""

from __future__ import annotations

from collections.abc import Container, Sequence

from agent.backups.job.history import is_success
from agent.backups.records import KILLED, Begun
from agent.config.drills import DrillOptions
from wire import fit
from wire.report import BackupRun, Drill


def lost(
    begun: Begun, options: DrillOptions, *, now: float, due: float | None = None, message: str = KILLED
) -> Drill:
    """What is on record of a drill of which nothing was heard any more."""
    found = Drill(
        name=begun.name,
        job=options.backup,
        kind=options.kind,
        repository=begun.repository,
        started=begun.started,
        finished=max(begun.started, now),
        outcome="failed",
        rpo=None if options.rpo is None else float(options.rpo),
        rto=None if options.rto is None else float(options.rto),
        message=message,
        next=due,
    )
    return fit.drill(found)


def held_since(snapshot: Container[str], runs: Sequence[BackupRun]) -> float | None:
    """When the last run began after which a snapshot, by any of these ids, held all that there was: the one that made
    it, or a later one that found nothing changed. None where no run on record says so. `runs` are those of the job,
    the last one last.
    """
    found, holds = None, True
    for run in runs:
        if run.snapshot:
            holds = run.snapshot in snapshot
        if holds and is_success(run):
            found = run.started
    return found
