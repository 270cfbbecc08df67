"""What repeats does so without drift, and never catches up by running twice."""

from __future__ import annotations

import sched

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import Repeated, next_tick, ticks


class Time:
    """A clock that the test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@given(
    due=st.floats(0, 1e6),
    period=st.floats(0.1, 1e4),
    late=st.floats(0, 1e5),
)
def test_the_next_tick_is_the_first_one_on_the_grid_after_now(due: float, period: float, late: float) -> None:
    """It is later than now, by one period at most, and a whole number of periods after the last."""
    now = due + late
    tick = next_tick(due, period, now)
    slack = 1e-6 * max(1.0, now)
    assert now - slack < tick <= now + period + slack
    steps = (tick - due) / period
    assert steps >= 1 - slack
    assert abs(steps - round(steps)) < 1e-3


def test_ticks_stay_on_the_grid_when_the_loop_is_late() -> None:
    """A loop that wakes late runs once, and the next run is where it would have been."""
    time = Time(100.0)
    scheduler = sched.scheduler(time)
    ran: list[float] = []
    Repeated(scheduler, 10.0, lambda: ran.append(time.now), first=100.0)
    for moment in (100.0, 110.3, 120.0, 155.0, 159.9, 160.0):
        time.now = moment
        scheduler.run(blocking=False)
    assert ran == [100.0, 110.3, 120.0, 155.0, 160.0]


def test_what_is_cancelled_does_not_run_again() -> None:
    """Also when it cancels itself."""
    time = Time()
    scheduler = sched.scheduler(time)
    ran: list[float] = []

    def once() -> None:
        ran.append(time.now)
        repeated.cancel()

    repeated = Repeated(scheduler, 1.0, once, first=time.now)
    for _ in range(5):
        scheduler.run(blocking=False)
        time.now += 1
    assert ran == [1000.0]
    assert scheduler.empty()


def test_ticks_go_forward() -> None:
    """The clock of intervals is the kernel's, in seconds."""
    assert 0 < ticks() <= ticks()
