"""Runs the checks, each at its interval, and gives what came of them to the ledger."""

from __future__ import annotations

import logging
import sched
import time
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from agent.checks import runner
from agent.checks.contract import CheckOptions
from agent.checks.launch import launch
from agent.checks.runner import Memory, Outcome, Plan, judge, make_context
from agent.clock import Repeated
from agent.daemon.ledger import Ledger
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
            memory = _restore(planned, self._ledger.checks.get(planned.name), self._ledger.boot)
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
            and (entry.memory is None or not entry.memory.is_measured)
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
        launch(self._jobs, job, plan, context, partial(self._conclude, entry, now, ticks))

    def _conclude(self, entry: _Entry, now: float, ticks: float, outcome: Outcome, duration: float) -> None:
        plan = entry.plan
        if self._entries.get(plan.name) is not entry:
            return  # it was removed while its child ran
        judged = judge(plan, outcome, entry.memory, now=now, ticks=ticks, duration=duration)
        if plan.way == "inline" and duration > SLOW:
            log.warning("%s: held up all other checks for more than %s", plan.name, format_duration(SLOW))
        entry.memory = judged.memory
        self._ledger.judged(judged)


def _restore(plan: Plan, stored: StoredCheck | None, boot: str) -> Memory | None:
    if stored is None:
        return None
    try:
        memory = msgspec.msgpack.decode(stored.memory, type=Memory)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # written by a version that remembered other things
    return memory if stored.boot == boot else memory.after_boot(lasting=plan.check.lasting)
