"""The jobs `[jobs]`: programs on the timetable, every run of which has an outcome on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.config.schema import JobOptions
from agent.daemon.ledger import Ledger
from agent.daemon.timed import Timed, moments
from agent.jobs.limits import Limits
from agent.jobs.run import Ended, OnEnd
from agent.jobs.supervisor import Jobs
from agent.privileged.protocol import encode_request
from agent.state import State
from kit.units import format_duration
from wire.report import Event, JobResult

RUNNING = "running:"
"""Key of the start of a run that has not ended: what is left of it after a kill tells of a lost run."""


def check_name(name: str) -> str:
    """The check that tells how a job stands; no configured check can have this name."""
    return f"job:{name}"


class Programs:
    """The configured jobs, for the timetable, and what came of them, for the ledger."""

    def __init__(
        self,
        jobs: Jobs,
        ledger: Ledger,
        state: State,
        *,
        keep: int,
        root_half: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`keep` is how many runs of each job are kept; root's half of the agent listens at `root_half`."""
        self._jobs = jobs
        self._ledger = ledger
        self._root_half = root_half
        self._clock = clock
        self._keep = keep
        self._names: set[str] = set()
        self.last = {name: result.started for name, result in state.last_runs().items()}
        """When the last run of each began."""
        for name, started in moments(state, RUNNING).items():
            self._lost(name, started)

    def adopt(self, jobs: Mapping[str, JobOptions], *, keep: int) -> dict[str, Timed]:
        """These are the jobs from now on: those that are not turned off, by key."""
        self._keep = keep
        wanted = {name: options for name, options in jobs.items() if options.enabled}
        self._names = set(wanted)
        now = self._clock()
        for name in wanted:
            if check_name(name) not in self._ledger.checks:
                self._ledger.stands(check_name(name), "job", "ok", "has not run yet", now=now)
        return {name: _Program(name, options, self) for name, options in wanted.items()}

    @property
    def checks(self) -> set[str]:
        """The names of the checks that tell how the jobs stand."""
        return {check_name(name) for name in self._names}

    def start(self, name: str, options: JobOptions, now: float, on_end: Callable[[], None]) -> bool:
        """Begin a run; False while the one before has not ended."""

        def ended(ended: Ended) -> None:
            self._ended(name, ended)
            on_end()

        begun = self._begin(name, options, ended)
        if begun:
            self._ledger.put(RUNNING + name, str(now))
        return begun

    def skip(self, name: str, now: float) -> None:
        """A run was due while the one before had not ended."""
        text = "was due while the run before had not ended; skipped"
        self._ledger.event(Event(time=now, kind="job.skipped", message=text, state="warning", check=check_name(name)))

    def _begin(self, name: str, options: JobOptions, on_end: OnEnd) -> bool:
        job = check_name(name)
        if options.privileged is not None:
            limits, request = Limits(time=float(options.timeout)), encode_request("job", name)
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
        name, check = result.name, check_name(result.name)
        self.last[name] = result.started
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


class _Program(Timed):
    def __init__(self, name: str, options: JobOptions, programs: Programs) -> None:
        super().__init__(name, options)
        self._options = options
        self._programs = programs

    @property
    def last(self) -> float:
        return self._programs.last.get(self.key, 0.0)

    def start(self, now: float, on_end: Callable[[], None]) -> bool:
        return self._programs.start(self.key, self._options, now, on_end)

    def skip(self, now: float) -> None:
        self._programs.skip(self.key, now)
