"""What of drills differs from backup jobs (agent/daemon/recorded.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agent.backups.drill.history import lost
from agent.backups.plan import Planned, schedule_of
from agent.backups.records import Begun
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions
from agent.config.repositories import same_place
from agent.daemon.ledger import Ledger
from agent.daemon.recorded import Kind
from kit.units import format_duration
from wire.report import Drill, State


class Drills(Kind[Drill, DrillOptions]):
    """The tables `[drills.NAME]`."""

    word = "drill"
    book = "drills"
    run = Drill

    def __init__(self) -> None:
        self.backups: Mapping[str, BackupOptions] = {}
        """The tables of the jobs whose snapshots are restored."""

    def begun(self, name: str, options: DrillOptions, now: float) -> Begun:
        return Begun(name=name, started=now, by="timetable", repository=self._place(options), source=options.kind)

    def places(self, options: DrillOptions) -> frozenset[str]:
        return frozenset({same_place(self._place(options))})

    def _place(self, options: DrillOptions) -> str:
        """Where it restores from. That it is the job's own or a copy of it, the configuration has seen to."""
        return options.repository or self.backups[options.backup].repository

    def failed(self, begun: Begun, options: DrillOptions | None, *, now: float, message: str) -> Drill | None:
        return None if options is None else lost(begun, options, now=now, message=message)

    def complete(self, run: Drill, before: Sequence[Drill], due: float | None) -> Drill:
        return msgspec.structs.replace(run, next=due)

    def tell(self, ledger: Ledger, run: Drill) -> tuple[State, str]:
        ledger.drill(run)
        took = format_duration(run.finished - run.started)
        return ("ok" if run.outcome == "done" else "critical"), f"{run.outcome} after {took}: {run.message}"

    def planned(self, name: str, options: DrillOptions, now: float) -> Planned:
        return Planned(
            name=name,
            since=now,
            schedule=schedule_of(options) if options.enabled else {},
            patience=options.patience,
        )
