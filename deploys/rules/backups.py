"""Which backups are too old to change the host on. Pure. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Backup(msgspec.Struct, frozen=True):
    """Of a job, as `hostward backup status --json` has it, what counts here."""

    name: str
    enabled: bool
    running_since: float | None
    last_success: float | None
    last_verified: float | None


def due(jobs: Iterable[Backup], *, now: float, max_age: float, verified: bool) -> list[str]:
    """The names of jobs whose last good snapshot, or last verified one, is older than `max_age` seconds."""
    found = []
    for job in jobs:
        times = [job.last_success, *([job.last_verified] if verified else [])]
        if any(time is None or now - time > max_age for time in times):
            found.append(job.name)
    return found
