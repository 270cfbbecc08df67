"""Jobs on their timetables, with clocks that the test sets and real programs."""

from __future__ import annotations

import sched
import selectors
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.config.schema import JobOptions
from agent.daemon.ledger import Ledger
from agent.daemon.programs import Programs
from agent.daemon.timed import Timetable
from agent.jobs.supervisor import Jobs
from agent.state import State
from kit.units import Duration
from wire.report import JobResult


def at(text: str) -> float:
    """Seconds since the epoch of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class World:
    """A host: two clocks, a state that outlives a start, jobs that really run."""

    def __init__(self, folder: Path, now: str) -> None:
        self.wall = at(now)
        self.ticks = 5000.0
        self.state = State.open(folder)
        self.selector = selectors.DefaultSelector()
        self.begin()

    def begin(self) -> None:
        """The agent starts, again perhaps."""
        self.scheduler = sched.scheduler(lambda: self.ticks)
        self.jobs = Jobs(self.selector)
        self.ledger = Ledger(self.state, "boot")
        self.timed = Timetable(self.scheduler, self.ledger, self.state, host="h", clock=lambda: self.wall)
        self.programs = Programs(
            self.jobs, self.ledger, self.state, keep=5, root_half=Path("/dev/null"), clock=lambda: self.wall
        )

    def configure(self, **jobs: JobOptions) -> None:
        self.timed.replace(self.programs.adopt(jobs, keep=5))
        self.turn()

    def sleep_until(self, text: str) -> None:
        """Both clocks go on to that time, and the loop wakes for whatever is due on the way."""
        target = at(text)
        while True:
            delay = self.scheduler.run(blocking=False)
            self.turn()
            step = target - self.wall if delay is None else min(delay, target - self.wall)
            if target <= self.wall:
                return
            self.wall += step
            self.ticks += step

    def set_clock(self, text: str) -> None:
        """Somebody sets the wall clock; the agent notices."""
        self.wall = at(text)
        self.timed.replan()
        self.turn()

    def turn(self) -> None:
        while self.jobs.running:
            self.jobs.wait(10)
        self.ledger.flush(self.wall)

    def starts(self, name: str = "job") -> int:
        return len(self.state.runs(name))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The evening before."""
    world = World(tmp_path / "state", "2026-03-10 20:00")
    yield world
    world.jobs.stop(1)
    world.selector.close()
    world.state.close()


def nightly(*command: str, catch_up: bool = True) -> JobOptions:
    return JobOptions(command=command or ("true",), daily="02:00", timezone="UTC", catch_up=catch_up)


def test_a_job_runs_at_its_time_and_not_before(world: World) -> None:
    """Once a night."""
    world.configure(job=nightly())
    world.sleep_until("2026-03-11 01:59:59")
    assert world.starts() == 0
    world.sleep_until("2026-03-11 02:00:01")
    assert world.starts() == 1
    world.sleep_until("2026-03-13 12:00")
    assert world.starts() == 3


def test_a_run_that_is_called_for_a_moment_early_is_not_passed_over(world: World) -> None:
    """By less than a due time can tell."""
    world.configure(job=nightly())
    world.ticks += at("2026-03-11 02:00") - world.wall
    world.wall = at("2026-03-11 02:00") - 3e-7
    world.scheduler.run(blocking=False)
    world.turn()
    assert world.starts() == 1
    world.sleep_until("2026-03-11 03:00")
    assert world.starts() == 1


def test_a_clock_set_back_does_not_stop_the_jobs(world: World) -> None:
    """The next run is at the next 02:00 that the clock shows, and not a year later by the other clock."""
    world.configure(job=nightly())
    world.sleep_until("2026-03-10 23:00")
    world.set_clock("2025-03-10 23:00")
    world.sleep_until("2025-03-11 02:00:01")
    assert world.starts() == 1


@pytest.mark.parametrize("clock", ["2026-03-11 01:59:59.500", "2026-03-11 01:50", "2026-03-10 20:00"])
def test_a_clock_set_back_behind_a_run_does_not_repeat_it(world: World, clock: str) -> None:
    """A time server corrects it by a moment, or somebody by hours: that night's run has been."""
    world.configure(job=nightly())
    world.sleep_until("2026-03-11 02:00:00.200")
    assert world.starts() == 1
    world.set_clock(clock)
    world.sleep_until("2026-03-11 12:00")
    assert world.starts() == 1
    world.sleep_until("2026-03-12 02:00:01")
    assert world.starts() == 2


def test_a_clock_that_steps_back_while_a_run_is_started(world: World) -> None:
    """It is not started once more when its time comes again."""
    world.configure(job=nightly())
    world.sleep_until("2026-03-11 01:59:59")
    moments = iter([at("2026-03-11 02:00:00.1"), at("2026-03-11 01:59:59.9")])
    world.ticks += 1.1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.timed, "_clock", lambda: next(moments))
        world.scheduler.run(blocking=False)
    world.turn()
    world.wall = at("2026-03-11 01:59:59.9")
    world.sleep_until("2026-03-11 12:00")
    assert world.starts() == 1


@pytest.mark.parametrize(("catch_up", "runs"), [(True, 1), (False, 0)])
def test_a_time_that_the_clock_was_set_over(world: World, catch_up: bool, runs: int) -> None:
    """Is caught up on once where that is wanted, and left out where not."""
    world.configure(job=nightly(catch_up=catch_up))
    world.sleep_until("2026-03-10 23:00")
    world.set_clock("2026-03-14 12:00")
    assert world.starts() == runs
    world.sleep_until("2026-03-15 02:00:01")
    assert world.starts() == runs + 1


@pytest.mark.parametrize(("catch_up", "runs"), [(True, 1), (False, 0)])
def test_what_was_due_while_the_agent_was_off(world: World, catch_up: bool, runs: int) -> None:
    """Is caught up on once at the start where that is wanted, also by a job that has never run."""
    world.configure(job=nightly(catch_up=catch_up))
    world.wall = at("2026-03-14 12:00")
    world.begin()
    world.configure(job=nightly(catch_up=catch_up))
    assert world.starts() == runs
    world.begin()
    world.configure(job=nightly(catch_up=catch_up))
    assert world.starts() == runs


def test_a_host_without_a_battery_repeats_nothing_when_its_clock_is_set(world: World) -> None:
    """It starts in 1970; when the right time comes, that night's run has been, and the next one is the next."""
    world.configure(job=nightly())
    world.sleep_until("2026-03-11 02:00:01")
    assert world.starts() == 1
    world.wall = at("1970-01-01 00:10")
    world.begin()
    world.configure(job=nightly())
    world.set_clock("2026-03-11 12:00")
    assert world.starts() == 1
    world.sleep_until("2026-03-12 02:00:01")
    assert world.starts() == 2


def test_a_job_that_is_removed_while_it_runs_leaves_no_check_behind(world: World) -> None:
    """Its run is recorded; how it stands is nothing to watch any more."""
    world.configure(job=JobOptions(command=("true",), daily="20:01", timezone="UTC"))
    world.wall, world.ticks = world.wall + 60, world.ticks + 60
    world.scheduler.run(blocking=False)
    assert world.jobs.running
    world.timed.replace(world.programs.adopt({}, keep=5))
    world.ledger.keep_checks(world.programs.checks)
    world.turn()
    assert world.starts() == 1
    assert not world.ledger.checks


def test_a_new_job_has_missed_nothing(world: World) -> None:
    """What is configured at noon does not run at once for the night before."""
    world.configure(job=nightly())
    assert world.starts() == 0
    assert world.ledger.checks["job:job"].state.state == "ok"
    assert world.ledger.checks["job:job"].state.message == "has not run yet"


def test_a_reload_leaves_unchanged_jobs_alone(world: World) -> None:
    """A job that is as it was keeps its due time; one that is turned off or gone does not run."""
    options = JobOptions(command=("true",), every=Duration(60))
    world.configure(kept=options, gone=options, off=options)
    world.sleep_until("2026-03-10 20:00:30")
    off = JobOptions(command=("true",), every=Duration(60), enabled=False)
    world.configure(kept=options, off=off)
    world.sleep_until("2026-03-10 20:01:01")
    assert world.starts("kept") == 1
    assert world.starts("gone") == world.starts("off") == 0
    assert world.programs.checks == {"job:kept"}


def test_a_job_that_cannot_start_has_an_outcome(world: World) -> None:
    """A program that does not exist is a failed run with the reason, and the next run is planned."""
    world.configure(job=nightly("/no/such/program"))
    world.sleep_until("2026-03-12 02:00:01")
    results = world.state.runs("job")
    assert [result.outcome for result in results] == ["failed", "failed"]
    assert "/no/such/program" in results[0].message
    assert world.ledger.checks["job:job"].state.state == "critical"
    assert [event.kind for event in world.state.events()] == ["job.failed", "job.failed"]


def test_a_run_that_the_agent_did_not_outlive_is_lost(world: World) -> None:
    """Its beginning is on record before it ends, so the next start knows that it never did."""
    world.configure(job=nightly())
    world.ledger.put("running:job", str(world.wall))
    world.ledger.flush(world.wall)
    world.wall += 100
    world.begin()
    world.turn()
    assert world.state.runs("job") == [
        JobResult(
            name="job",
            started=at("2026-03-10 20:00"),
            finished=at("2026-03-10 20:01:40"),
            outcome="lost",
            message="the agent was ended while it ran",
        )
    ]
    world.begin()
    world.turn()
    assert world.starts() == 1


def test_history_is_bounded(world: World) -> None:
    """Only the last runs are kept."""
    world.configure(job=JobOptions(command=("true",), every=Duration(60)))
    world.sleep_until("2026-03-10 20:08:01")
    assert world.starts() == 5
