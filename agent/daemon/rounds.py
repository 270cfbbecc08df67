"""Runs the checks, each at its interval, and gives what came of them to the ledger."""

from __future__ import annotations

import logging
import sched
import time
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from agent.checks import runner
from agent.checks.contract import CheckOptions, Command, Context, Finished
from agent.checks.runner import (
    Failure,
    Judged,
    Memory,
    Outcome,
    Plan,
    collect_inline,
    command_for,
    decode_outcome,
    encode_call,
    judge,
    make_context,
    parse_command,
    reason,
)
from agent.clock import Repeated
from agent.daemon.ledger import Ledger
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.paths import System
from agent.state import StoredCheck
from kit.units import format_duration

log = logging.getLogger(__name__)

SPREAD = 2.0
"""Seconds over which first runs in children are spread, so that they do not all start at once."""
SECOND_SAMPLE = 2.0
"""Seconds after the first sample of counters when the second one is taken, so that rates are there early."""
SLOW = 1.0
"""Seconds in the loop from which on a check is worth a warning: it holds up all others."""


class _Entry:
    """A check that runs."""

    def __init__(self, plan: Plan, memory: Memory | None) -> None:
        self.plan = plan
        self.memory = memory
        self.timer: Repeated | None = None


class Rounds:
    """The checks that run now."""

    def __init__(
        self,
        scheduler: sched.scheduler,
        jobs: Jobs,
        ledger: Ledger,
        system: System,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scheduler = scheduler
        self._jobs = jobs
        self._ledger = ledger
        self._system = system
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def replace(self, checks: Mapping[str, CheckOptions]) -> None:
        """Run these checks from now on. One that is as it was goes on as if nothing had happened.

        Raises ConfigurationError; then nothing has changed.
        """
        plans = runner.plan(checks)
        for name in self._entries.keys() - {plan.name for plan in plans}:
            self._remove(name)
        base = self._scheduler.timefunc()
        children = [plan.name for plan in plans if plan.way != "inline"]
        for planned in plans:
            before = self._entries.get(planned.name)
            if before is not None and (before.plan.kind, before.plan.options) == (planned.kind, planned.options):
                continue
            if before is not None:
                self._remove(planned.name)
            memory = _restore(self._ledger.checks.get(planned.name), self._ledger.boot)
            entry = _Entry(planned, memory)
            self._entries[planned.name] = entry
            self._begin(entry, base, children)

    def stop(self) -> None:
        """Begin no run any more, and let those under way say nothing: that the agent ends is no news of a check."""
        for name in list(self._entries):
            self._remove(name)

    def _begin(self, entry: _Entry, base: float, children: list[str]) -> None:
        plan = entry.plan
        first = base
        if plan.way != "inline":
            first += SPREAD * children.index(plan.name) / len(children)
        run = partial(self._run, entry)
        entry.timer = Repeated(self._scheduler, plan.options.every, run, first=first)
        if (
            plan.check.rates
            and plan.options.every > SECOND_SAMPLE
            and (not entry.memory or not entry.memory.previous)
        ):
            self._scheduler.enterabs(first + SECOND_SAMPLE, 0, run)

    def _remove(self, name: str) -> None:
        entry = self._entries.pop(name)
        if entry.timer is not None:
            entry.timer.cancel()

    def _run(self, entry: _Entry) -> None:
        plan = entry.plan
        if self._entries.get(plan.name) is not entry:
            return  # it was removed after its second sample had been asked for
        job = f"check:{plan.name}"
        if job in self._jobs.running:
            return  # the run before has not ended: its own time limit sees to that
        now, ticks = self._clock(), self._scheduler.timefunc()
        context = make_context(plan, entry.memory, system=self._system, now=now, ticks=ticks)
        if plan.way == "inline":
            outcome = collect_inline(plan, context)
            self._conclude(entry, outcome, now, ticks, self._scheduler.timefunc() - ticks)
            return
        limits = Limits(time=float(plan.options.timeout))
        ended = partial(self._ended, entry, context, ticks)
        started: bool | Failure
        if plan.way == "command":
            command = command_for(plan, context)
            started = command if isinstance(command, Failure) else self._start(job, command, limits, ended)
        else:
            argument = encode_call(plan, context)
            started = self._jobs.start_call(
                job, "agent.checks.runner:collect_call", argument, limits=limits, on_end=ended
            )
        if isinstance(started, Failure):
            self._conclude(entry, started, now, ticks, 0.0)
        elif not started:
            self._conclude(entry, Failure("an earlier run hangs and cannot be killed"), now, ticks, 0.0)

    def _start(self, job: str, command: Command, limits: Limits, ended: Callable[[Ended], None]) -> bool:
        return self._jobs.start_command(
            job, command.argv, limits=limits, environment=command.environment, on_end=ended
        )

    def _ended(self, entry: _Entry, context: Context, ticks: float, ended: Ended) -> None:
        if self._entries.get(entry.plan.name) is entry:
            outcome = outcome_of(entry.plan, context, ended)
            self._conclude(entry, outcome, ended.started, ticks, ended.finished - ended.started)

    def _conclude(self, entry: _Entry, outcome: Outcome, now: float, ticks: float, duration: float) -> None:
        plan = entry.plan
        judged: Judged
        try:
            judged = judge(plan, outcome, entry.memory, now=now, ticks=ticks, duration=duration)
        except Exception as error:  # a rule that cannot be applied to what was measured
            judged = judge(plan, Failure(reason(error)), entry.memory, now=now, ticks=ticks, duration=duration)
        if plan.way == "inline" and duration > SLOW:
            log.warning("%s: held up all other checks for more than %s", plan.name, format_duration(SLOW))
        entry.memory = judged.memory
        self._ledger.judged(judged)


def outcome_of(plan: Plan, context: Context, ended: Ended) -> Outcome:
    """What a run in a child found out."""
    if plan.way == "job":
        return decode_outcome(ended.output) if ended.outcome == "done" else Failure(ended.message)
    if ended.exit_code is None:
        return Failure(ended.message)
    output, error = (text.decode("utf-8", "replace") for text in (ended.output, ended.error))
    return parse_command(plan, context, Finished(ended.exit_code, output, error, ended.truncated))


def _restore(stored: StoredCheck | None, boot: str) -> Memory | None:
    if stored is None:
        return None
    try:
        memory = msgspec.msgpack.decode(stored.memory, type=Memory)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # written by a version that remembered other things
    return memory if stored.boot == boot else memory.after_boot()
