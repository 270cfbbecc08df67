"""What of backup jobs differs from drills (agent/daemon/recorded.py)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.backups.job.history import is_success, lost, with_ages
from agent.backups.plan import Planned, schedule_of
from agent.backups.records import Begun
from agent.config.backups import BackupOptions
from agent.config.repositories import same_place
from agent.daemon.ledger import Ledger
from agent.daemon.recorded import Kind
from kit.units import format_duration
from wire.report import BackupRun, State


class Backups(Kind[BackupRun, BackupOptions]):
    """The tables `[backups.NAME]`."""

    word = "backup"
    book = "backups"
    run = BackupRun

    def begun(self, name: str, options: BackupOptions, now: float) -> Begun:
        return Begun(name=name, started=now, by="timetable", repository=options.repository, source=options.source)

    def places(self, options: BackupOptions) -> frozenset[str]:
        return frozenset(same_place(place) for place in options.places)

    def failed(self, begun: Begun, options: BackupOptions | None, *, now: float, message: str) -> BackupRun:
        return lost(begun, (), now=now, message=message)

    def complete(self, run: BackupRun, before: Sequence[BackupRun], due: float | None) -> BackupRun:
        return with_ages(run, before, whole=is_success(run), due=due)

    def tell(self, ledger: Ledger, run: BackupRun) -> tuple[State, str]:
        ledger.backup(run)
        took = format_duration(run.finished - run.started)
        if run.outcome == "done":
            return "ok", ""
        state: State = "critical" if run.outcome == "failed" else "warning"
        return state, f"{run.outcome} after {took}: {run.message}"

    def planned(self, name: str, options: BackupOptions, now: float) -> Planned:
        return Planned(
            name=name,
            since=now,
            schedule=schedule_of(options) if options.enabled else {},
            patience=options.patience,
            verifies_since=None if options.verify is False else now,
        )
