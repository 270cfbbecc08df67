"""The two clocks of the daemon, and what repeats on the one that nobody can set."""

from __future__ import annotations

import math
import sched
import time
from collections.abc import Callable


def ticks() -> float:
    """Seconds since the boot, those in which the host slept included (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def next_tick(due: float, period: float, now: float) -> float:
    """The first of `due + period`, `due + 2 * period`, … that is after `now`: no drift, and nothing piles up."""
    return due + period * max(1, math.floor((now - due) / period) + 1)


class Repeated:
    """`action` each `period` seconds from `first` on, until it is cancelled; what was slept over is skipped."""

    def __init__(
        self,
        scheduler: sched.scheduler,
        period: float,
        action: Callable[[], None],
        *,
        first: float,
        priority: int = 0,
    ) -> None:
        self._scheduler = scheduler
        self._period = period
        self._action = action
        self._priority = priority
        self._event = scheduler.enterabs(first, priority, self._run)

    def _run(self) -> None:
        due = next_tick(self._event.time, self._period, self._scheduler.timefunc())
        self._event = self._scheduler.enterabs(due, self._priority, self._run)
        self._action()

    def cancel(self) -> None:
        """No more of it."""
        self._scheduler.cancel(self._event)
