"""What came of checks, jobs and backups, on its way into the state: one transaction for each turn of the loop.

When the state takes nothing, the daemon goes on: how the checks stand is in memory anyway, events and results of jobs
wait there up to a bound, readings are dropped. What is dropped is counted, and the count is kept as a gap as soon as
anything can be kept again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Mapping

import msgspec

from agent.checks.runner import Judged
from agent.state import State, StateCorruptError, StateError, StoredCheck
from wire import report
from wire.report import BackupRun, CheckState, Drill, Event, Gap, JobResult, LogSummary, Reading

log = logging.getLogger(__name__)

PENDING = 200
"""Events, results, and runs of backups and drills, that wait in memory while nothing can be kept."""


class Ledger:
    """How every check stands, and what happened since the last `flush`."""

    def __init__(self, state: State, boot: str) -> None:
        self.boot = boot
        self.reporting = False
        """Whether a home is known, so that readings, events and results are kept for its report."""
        self.trouble = ""
        """Why the last flush kept nothing; empty when it kept all."""
        self.showing = False
        """Whether somebody is shown the readings, so that the last ones of each check are remembered."""
        self.shown: dict[str, list[Reading]] = {}
        self._state = state
        self._checks = state.checks()
        self._changed: set[str] = set()
        self._gone = False
        self._readings: list[list[Reading]] = []
        self._events: deque[Event] = deque()
        self._jobs: deque[tuple[JobResult, int]] = deque()
        self._logs: list[LogSummary] = []
        self._backups: deque[BackupRun | Drill] = deque()
        self._meta: dict[str, str | None] = {}
        self._lost: Gap | None = None
        self._encoder = msgspec.msgpack.Encoder()

    @property
    def checks(self) -> Mapping[str, StoredCheck]:
        """Every check as it stands, by name; one that has not run since the start as it stood before."""
        return self._checks

    def states(self) -> list[CheckState]:
        """How every check stands, in the order of their names."""
        return [self._checks[name].state for name in sorted(self._checks)]

    def judged(self, judged: Judged) -> None:
        """A check was run and judged."""
        if judged.readings and self.reporting:
            self._readings.append(judged.readings)
        self._stands(judged.state, self._encoder.encode(judged.memory))
        if self.showing:
            self.shown[judged.state.name] = judged.readings
        if judged.event is not None:
            self.event(judged.event)

    def stands(self, name: str, kind: str, state: report.State, message: str, *, now: float) -> bool:
        """How something stands that is no check but is shown as one: the configuration, a job.

        True where `state` is another than before. Saying so in an event is the caller's.
        """
        known = self._checks.get(name)
        before = known.state.state if known else "ok"
        since = known.state.since if known and before == state else now
        self._stands(CheckState(name=name, kind=kind, state=state, message=message, since=since, time=now), b"")
        return state != before

    def keep_checks(self, names: Collection[str]) -> None:
        """Forget all checks but these."""
        self._checks = {name: check for name, check in self._checks.items() if name in names}
        self._changed &= self._checks.keys()
        self.shown = {name: readings for name, readings in self.shown.items() if name in names}
        self._gone = True

    def event(self, event: Event) -> None:
        """Something happened."""
        level = logging.INFO if event.state == "ok" else logging.WARNING
        log.log(level, "%s%s", f"{event.check}: " if event.check else "", event.message, extra={"event": event})
        self._events.append(event)

    def job(self, result: JobResult, *, keep: int) -> None:
        """A job ended; `keep` of its runs stay in the history."""
        self._jobs.append((result, keep))

    def log_summary(self, summary: LogSummary) -> None:
        """What the logs say of a day."""
        self._logs.append(summary)

    def backup(self, run: BackupRun) -> None:
        """A backup job ran. A `put` before the next flush is kept in the same transaction: so it is told once."""
        self._backups.append(run)

    def drill(self, drill: Drill) -> None:
        """A restore was tried; as with `backup`."""
        self._backups.append(drill)

    def put(self, key: str, value: str | None) -> None:
        """A small value (State.put)."""
        self._meta[key] = value

    def begin_anew(self, state: State) -> None:
        """Another database took the place of the one that was damaged: it shall know all that is known."""
        self._state = state
        self._changed = set(self._checks)

    def flush(self, now: float) -> None:
        """Keep all that came since the last flush. Raises StateCorruptError; then all of it still waits."""
        things = (self._changed, self._readings, self._events, self._jobs, self._logs, self._backups, self._meta)
        if not (self._gone or any(things)):
            return
        try:
            with self._state.transaction():
                self._write()
        except StateCorruptError:
            raise
        except StateError as error:
            if not self.trouble:
                log.error("%s; measuring goes on, and what cannot be kept is counted", error)
            self.trouble = str(error)
            self._drop(now)
            return
        if self.trouble:
            log.warning("what is measured can be kept again")
            self.trouble = ""
        self._changed.clear()
        self._gone = False
        self._readings.clear()
        self._events.clear()
        self._jobs.clear()
        self._logs.clear()
        self._backups.clear()
        self._meta.clear()
        self._lost = None

    def _stands(self, state: CheckState, memory: bytes) -> None:
        self._checks[state.name] = StoredCheck(state, memory, self.boot)
        self._changed.add(state.name)

    def _write(self) -> None:
        state = self._state
        if self._gone:
            state.keep_checks(self._checks)
        for name in self._changed:
            state.save_check(self._checks[name])
        for result, keep in self._jobs:
            state.add_run(result, keep=keep)
        for event in self._events:
            state.add_event(event)
        for key, value in self._meta.items():
            state.put(key, value)
        if self._lost is not None:
            state.add_gap(self._lost)
        if self.reporting:
            for readings in self._readings:
                state.enqueue(readings)
            for result, _ in self._jobs:
                state.enqueue(result)
            for event in self._events:
                state.enqueue(event)
            for summary in self._logs:
                state.enqueue(summary)
            for run in self._backups:
                state.enqueue(run)

    def _drop(self, now: float) -> None:
        """See to it that what waits stays small, and count what goes."""
        readings = sum(map(len, self._readings))
        self._readings.clear()
        events = max(0, len(self._events) - PENDING)
        backups = max(0, len(self._backups) - PENDING)
        jobs = max(0, len(self._jobs) - PENDING)
        for _ in range(events):
            self._events.popleft()
        for _ in range(backups):
            self._backups.popleft()
        for _ in range(jobs):
            self._jobs.popleft()
        events += backups
        if readings or events or jobs:
            lost = self._lost or Gap(reason="disk_full", since=now, until=now)
            self._lost = msgspec.structs.replace(
                lost,
                until=max(lost.until, now),
                readings=lost.readings + readings,
                events=lost.events + events,
                job_results=lost.job_results + jobs,
            )
