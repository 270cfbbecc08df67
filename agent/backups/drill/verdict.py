"""What a drill comes to: its record, and whether it kept to its targets (pure)."""

from __future__ import annotations

from agent.backups.drill.contract import Restored
from agent.config.drills import DrillOptions
from backup.format.snapshot import Snapshot
from kit.units import format_duration, format_size
from wire import fit
from wire.report import Drill


def record(
    name: str,
    options: DrillOptions,
    *,
    repository: str,
    started: float,
    finished: float,
    snapshot: Snapshot | None = None,
    held: float | None = None,
    restored: Restored | None = None,
    wrong: str = "",
    problem: str = "",
    seed: str = "",
    due: float | None = None,
) -> Drill:
    """The record of a drill that has ended. Times are seconds since the epoch.

    `held` is when the last run began after which the snapshot held all there was: with jobs that make no snapshot
    where nothing has changed that is later than the snapshot's time. `wrong` is what the assertion found, `problem`
    why there was no restore or not all of it.
    """
    found = restored or Restored()
    made = None if snapshot is None else snapshot.seconds
    known = made if made is not None and made <= started else None  # one that lies ahead says nothing
    back = [moment for moment in (known, held, found.until) if moment is not None]
    asked = options.assertion is not None and restored is not None
    drill = Drill(
        name=name,
        job=options.backup,
        kind=options.kind,
        repository=repository,
        started=started,
        finished=finished,
        outcome="failed" if problem or wrong or found.differing or restored is None else "done",
        snapshot="" if snapshot is None else snapshot.id,
        snapshot_time=made,
        files=found.files,
        bytes=found.bytes,
        total_bytes=found.total_bytes,
        differing=found.differing,
        recovery_point=max(0.0, started - max(back)) if back and not options.age else None,
        recovery_time=None if problem or restored is None else found.seconds,
        estimated=found.estimated,
        rpo=None if options.rpo is None else float(options.rpo),
        rto=None if options.rto is None else float(options.rto),
        assertion=("failed" if wrong else "held") if asked else "",
        message=_say(found, wrong, problem, seed, asked=asked),
        next=due,
    )
    return fit.drill(drill)


def missed_targets(drill: Drill) -> list[str]:
    """A phrase for each target that a drill did not keep to."""
    missed = []
    if drill.rpo is not None and drill.recovery_point is not None and drill.recovery_point > drill.rpo:
        missed.append(
            f"what comes back is {format_duration(drill.recovery_point)} old, rpo is {format_duration(drill.rpo)}"
        )
    if drill.rto is not None and drill.recovery_time is not None and drill.recovery_time > drill.rto:
        about = "some " if drill.estimated else ""
        missed.append(
            f"it takes {about}{format_duration(drill.recovery_time)} until all is back, "
            f"rto is {format_duration(drill.rto)}"
        )
    return missed


def _say(found: Restored, wrong: str, problem: str, seed: str, *, asked: bool) -> str:
    parts = []
    if problem:
        parts.append(problem)
    if found.differing:
        files = "1 file differs" if found.differing == 1 else f"{found.differing:,} files differ"
        parts.append(f"{files}: {'; '.join(found.differences[:3])}")
    if wrong:
        parts.append(f"the assertion failed: {wrong}")
    if found.files and not problem:
        of = f" of {found.total_files:,}" if found.files < found.total_files else ""
        live = f", {found.live_files:,} also with this host" if found.live_files else ""
        drawn = f" (seed {seed})" if seed and of else ""
        parts.append(f"{found.files:,}{of} files, {format_size(found.bytes)}, compared{live}{drawn}")
    if asked and not wrong and not problem:
        parts.append("the assertion held")
    return "; ".join(parts)
