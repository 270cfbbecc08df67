"""Runs the configured jobs on their timetables, and sees to it that every run has an outcome on record."""

from __future__ import annotations

import logging
import sched
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from agent.config.schema import JobOptions
from agent.daemon.ledger import Ledger
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.paths import System
from agent.privileged.protocol import SOCKET, encode_request
from agent.state import State
from agent.timetable import missed, next_due
from kit.units import format_duration
from wire.report import Event, JobResult

log = logging.getLogger(__name__)

THIS_HOST = System()
RUNNING = "running:"
"""Key of the start of a run that has not ended: what is left of it after a kill tells of a lost run."""
SEEN = "seen:"
"""Key of the time when a job was first configured: before it no run was missed."""

LATE = 60.0
"""Seconds after its time up to which a run is on time; later it is one to catch up on, or to leave out."""


class _Timed:
    """A job that waits for its time."""

    def __init__(self, name: str, options: JobOptions) -> None:
        self.name = name
        self.options = options
        self.due: datetime | None = None
        self.met: datetime | None = None
        """The due time that came last. It does not come again when the clock is set back behind it."""
        self.event: sched.Event | None = None
        self.skipped = False
        """Whether it has been said that the present run is in the way of the next."""


class TimedJobs:
    """The configured jobs. Wall-clock times are worked out again when somebody sets the clock: `replan`."""

    def __init__(
        self,
        scheduler: sched.scheduler,
        jobs: Jobs,
        ledger: Ledger,
        state: State,
        *,
        host: str,
        keep: int,
        system: System = THIS_HOST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scheduler = scheduler
        self._jobs = jobs
        self._ledger = ledger
        self._host = host
        self._root_half = system.path(*SOCKET)
        self._clock = clock
        self._keep = keep
        self._timed: dict[str, _Timed] = {}
        self._last = {name: result.started for name, result in state.last_runs().items()}
        self._seen = _moments(state, SEEN)
        for name, started in _moments(state, RUNNING).items():
            self._lost(name, started)

    def replace(self, jobs: Mapping[str, JobOptions], *, keep: int) -> None:
        """These are the jobs from now on. One that is as it was keeps its due time; a run that has begun goes on."""
        self._keep = keep
        wanted = {name: options for name, options in jobs.items() if options.enabled}
        for name in self._timed.keys() - wanted.keys():
            self._cancel(self._timed.pop(name))
        for name in self._seen.keys() - wanted.keys():
            del self._seen[name]
            self._ledger.put(SEEN + name, None)
        now = self._clock()
        for name, options in wanted.items():
            before = self._timed.get(name)
            if before is not None and before.options == options:
                continue
            if before is not None:
                self._cancel(before)
            if name not in self._seen:
                self._seen[name] = now
                self._ledger.put(SEEN + name, str(now))
            if self.check_name(name) not in self._ledger.checks:
                self._ledger.stands(self.check_name(name), "job", "ok", "has not run yet", now=now)
            timed = self._timed[name] = _Timed(name, options)
            if before is None and options.catch_up and self._is_missed(timed, now):
                log.info("job %s: catches up on a run that was due while the agent was off", name)
                self._start(timed)
            self._plan(timed)

    @property
    def checks(self) -> set[str]:
        """The names of the checks that tell how the jobs stand."""
        return {self.check_name(name) for name in self._timed}

    @staticmethod
    def check_name(name: str) -> str:
        """The check that tells how a job stands; no configured check can have this name."""
        return f"job:{name}"

    def replan(self) -> None:
        """Somebody has set the clock: what is due now, and what when?"""
        for timed in self._timed.values():
            self._cancel(timed)
            self._due(timed)

    def _plan(self, timed: _Timed) -> None:
        now = self._now()
        timed.due = next_due(timed.options, now, host=self._host, job=timed.name)
        if timed.due == timed.met:
            timed.due = next_due(timed.options, timed.met, host=self._host, job=timed.name)
        delay = (timed.due - now).total_seconds()
        timed.event = self._scheduler.enter(delay, 0, self._due, (timed,))

    def _due(self, timed: _Timed) -> None:
        timed.event = None
        now = self._clock()
        # In whole microseconds, as the next due time is reckoned: else one that is missed by less is passed over.
        late = (datetime.fromtimestamp(now, UTC) - timed.due).total_seconds() if timed.due is not None else -1.0
        if late >= 0:
            timed.met = timed.due
        # Early is what the clocks' drift makes of it. Late is a host that slept, or whose clock was set: from 1970
        # perhaps, and then the run may have been before.
        if 0 <= late <= LATE or (late > LATE and timed.options.catch_up and self._is_missed(timed, now)):
            self._start(timed)
        self._plan(timed)

    def _start(self, timed: _Timed) -> None:
        now, name = self._clock(), timed.name
        if self._begin(timed):
            timed.skipped = False
            self._ledger.put(RUNNING + name, str(now))
        elif not timed.skipped:
            timed.skipped = True
            text = "was due while the run before had not ended; skipped"
            self._ledger.event(
                Event(time=now, kind="job.skipped", message=text, state="warning", check=self.check_name(name))
            )

    def _begin(self, timed: _Timed) -> bool:
        """Start a run; False while the one before has not ended."""
        options, job, on_end = timed.options, self.check_name(timed.name), partial(self._ended, timed.name)
        if options.privileged is not None:
            limits, request = Limits(time=float(options.timeout)), encode_request("job", timed.name)
            return self._jobs.start_remote(job, self._root_half, request, limits=limits, on_end=on_end)
        limits = Limits(
            time=float(options.timeout),
            nice=options.nice,
            idle_io=options.idle_io,
            memory=None if options.memory_max is None else int(options.memory_max),
        )
        return self._jobs.start_command(
            job, options.command, limits=limits, environment=options.environment, on_end=on_end
        )

    def _ended(self, name: str, ended: Ended) -> None:
        self._record(
            JobResult(
                name=name,
                started=ended.started,
                finished=ended.finished,
                outcome=ended.outcome,
                exit_code=ended.exit_code,
                message=ended.message,
                cpu=ended.cpu,
                peak_memory=ended.peak_memory,
            )
        )

    def _lost(self, name: str, started: float) -> None:
        self._record(
            JobResult(
                name=name,
                started=started,
                finished=max(started, self._clock()),
                outcome="lost",
                message="the agent was ended while it ran",
            )
        )

    def _record(self, result: JobResult) -> None:
        name, check = result.name, self.check_name(result.name)
        self._last[name] = result.started
        self._ledger.put(RUNNING + name, None)
        self._ledger.job(result, keep=self._keep)
        if check not in self._ledger.checks:
            return  # it was removed from the configuration while it ran
        took = format_duration(result.finished - result.started)
        now = self._clock()
        if result.outcome == "done":
            text = f"done in {took}"
            if self._ledger.stands(check, "job", "ok", text, now=now):
                self._ledger.event(Event(time=now, kind="check.changed", message=text, check=check))
        else:
            text = f"{result.outcome.replace('_', ' ')} after {took}: {result.message}"
            self._ledger.stands(check, "job", "critical", text, now=now)
            self._ledger.event(Event(time=now, kind="job.failed", message=text, state="critical", check=check))

    def _is_missed(self, timed: _Timed, now: float) -> bool:
        last = max(self._last.get(timed.name, 0.0), self._seen[timed.name])
        return missed(
            timed.options,
            datetime.fromtimestamp(last, UTC),
            datetime.fromtimestamp(now, UTC),
            host=self._host,
            job=timed.name,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _cancel(self, timed: _Timed) -> None:
        if timed.event is not None:
            self._scheduler.cancel(timed.event)
            timed.event = None


def _moments(state: State, prefix: str) -> dict[str, float]:
    """The times kept under the keys that begin with `prefix`; one that is damaged is none."""
    found = {}
    for name, value in state.items(prefix).items():
        with suppress(ValueError):
            found[name] = float(value)
    return found
