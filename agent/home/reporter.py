"""Makes reports: what waits in the outbox goes into the spool, all of it in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from agent import mark
from agent.home.spool import FACTS_TOLD, PACKAGES_TOLD, Spool
from agent.mark import Mark
from agent.packages.kept import digest, packages
from agent.state import Kind, State, Waiting
from kit.version import __version__
from wire import fit, limits
from wire.packages import Packages
from wire.report import BackupRun, Drill, Event, Gap, JobResult, LogSummary, Reading, Report

ROOM = 256 * 1024
"""Bytes of JSON that one report takes from the outbox. With every check in its longest words beside them they are
within `wire.limits.MAX_DOCUMENT`, so that no report is ever too large to be taken."""
ROWS_AT_ONCE = 1000

_readings = msgspec.json.Decoder(list[Reading])
_event = msgspec.json.Decoder(Event)
_job = msgspec.json.Decoder(JobResult)
_logs = msgspec.json.Decoder(LogSummary)
_backup = msgspec.json.Decoder(BackupRun)
_drill = msgspec.json.Decoder(Drill)
_DECODERS: dict[Kind, Callable[[bytes], Sequence[Reading | Event | JobResult | LogSummary | BackupRun | Drill]]] = {
    "readings": _readings.decode,
    "event": lambda row: [_event.decode(row)],
    "job": lambda row: [_job.decode(row)],
    "logs": lambda row: [_logs.decode(row)],
    "backup": lambda row: [_backup.decode(row)],
    "drill": lambda row: [_drill.decode(row)],
}


@dataclass(slots=True)
class Batch:
    """What one report takes along."""

    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    jobs: list[JobResult] = field(default_factory=list)
    logs: list[LogSummary] = field(default_factory=list)
    backups: list[BackupRun] = field(default_factory=list)
    drills: list[Drill] = field(default_factory=list)
    size: int = 0
    """Bytes of their JSON."""

    def has_room(self, size: int) -> bool:
        """Whether one more item of this size keeps the report within its limits."""
        return (
            self.size + size <= ROOM
            and len(self.readings) < limits.MAX_READINGS
            and len(self.events) < limits.MAX_EVENTS
            and len(self.jobs) < limits.MAX_JOBS
            and len(self.logs) < limits.MAX_LOGS
            and len(self.backups) < limits.MAX_BACKUPS
            and len(self.drills) < limits.MAX_DRILLS
        )


def batches(rows: Iterable[Waiting], lost: Callable[[Kind], None]) -> Iterator[Batch]:
    """What the rows hold, in their order, in batches that a report has room for; one empty batch for no rows.

    `lost` is told of each row that cannot be read: it is damaged, or a newer version left it before a downgrade.
    """
    batch = Batch()
    for row in rows:
        try:
            items = _DECODERS[row.kind](row.row)
        except (KeyError, TypeError, ValueError):
            lost(row.kind)
            continue
        size = len(row.row) // max(len(items), 1) + 1
        for item in items:
            if not batch.has_room(size):
                yield batch
                batch = Batch()
            batch.size += size
            if isinstance(item, Reading):
                batch.readings.append(item)
            elif isinstance(item, Event):
                batch.events.append(item)
            elif isinstance(item, LogSummary):
                batch.logs.append(item)
            elif isinstance(item, BackupRun):
                batch.backups.append(item)
            elif isinstance(item, Drill):
                batch.drills.append(item)
            else:
                batch.jobs.append(item)
    yield batch


class Reporter:
    """Composes the reports of one run of the daemon."""

    def __init__(self, state: State, spool: Spool, *, host: str, boot: str) -> None:
        self._state = state
        self._spool = spool
        self._host = host
        self._boot = boot
        self._first = True

    def compose(self, *, facts: Mapping[str, str], interval: float, now: float, max_size: int, max_age: float) -> int:
        """Make one report, or as many as what waits needs, put them into the spool, and keep that within its bounds.

        `interval` is seconds until the next call, `now` seconds since the epoch; `max_size` and `max_age` are the
        spool's bounds in bytes and seconds. Returns how many reports were made. Raises what `State.transaction`
        raises; then nothing has changed. What is returned is on the disk: a report that home has must never be
        taken back by a power cut, for its number would then be given to another.
        """
        now = min(max(now, 0.0), limits.MAX_TIME)
        fitting = fit.facts(facts)
        known = msgspec.json.encode(fitting, order="sorted").decode()
        made = 0

        def lost(kind: Kind) -> None:
            # How many readings were in a row that cannot be read, nobody knows; it was one at least.
            self._state.add_gap(
                Gap(
                    reason="corrupt",
                    since=now,
                    until=now,
                    readings=int(kind == "readings"),
                    events=int(kind in ("event", "logs", "backup", "drill")),
                    job_results=int(kind == "job"),
                )
            )

        with self._state.transaction(durable=True):
            tell_facts = self._first or self._state.get(FACTS_TOLD) != known
            listed = digest(self._state)
            tell_packages = self._first or self._state.get(PACKAGES_TOLD) != listed
            checks = [stored.state for stored in self._state.checks().values()][: limits.MAX_CHECKS]
            gaps = self._state.take_gaps()

            def add(batch: Batch, packages: Packages | None = None) -> int:
                nonlocal gaps, made, tell_facts
                report = Report(
                    host=self._host,
                    epoch=self._state.epoch,
                    sequence=1,
                    boot=self._boot,
                    agent=__version__,
                    time=now,
                    interval=interval,
                    facts=fitting if tell_facts else None,
                    checks=checks,
                    readings=batch.readings,
                    jobs=batch.jobs,
                    events=batch.events,
                    gaps=gaps,
                    logs=batch.logs,
                    backups=batch.backups,
                    drills=batch.drills,
                    packages=packages,
                )
                gaps, tell_facts = [], False
                made += 1
                return self._spool.add(report)

            if tell_packages and (found := packages(self._state)) is not None:
                # Their room is that of a batch, so they go without one.
                sequence = add(Batch(), found)
            while True:
                rows = self._state.outbox(ROWS_AT_ONCE)
                if made and not rows:
                    break
                for batch in batches(rows, lost):
                    sequence = add(batch)
                if not rows:
                    break
                self._state.clear_outbox(rows[-1].id)
            self._state.put(FACTS_TOLD, known)
            self._state.put(PACKAGES_TOLD, listed)
            self._spool.trim(now=now, max_size=max_size, max_age=max_age)
        mark.note(self._state.folder, Mark(self._state.epoch, sequence))
        self._first = False
        return made
