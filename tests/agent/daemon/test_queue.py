"""What shares a repository runs one after the other: in order, and none is lost."""

from __future__ import annotations

import sched
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.daemon.ledger import Ledger
from agent.daemon.timed import Timed, Timetable
from agent.state import State
from agent.timetable import OptionalSchedule, Schedule


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Thing(Timed):
    """Runs until it is told to end."""

    def __init__(self, world: World, key: str, schedule: Schedule, *places: str) -> None:
        super().__init__(key, schedule, places=frozenset(places))
        self.world = world

    @property
    def last(self) -> float:
        return self.world.last.get(self.key, 0.0)

    def start(self, now: float, on_end: Callable[[], None]) -> bool:
        if self.key in self.world.running:
            return False
        self.world.last[self.key] = now
        self.world.running[self.key] = on_end
        self.world.started.append(self.key)
        return True


class World:
    """A host with two clocks, and things that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall = at("2026-03-10 20:00")
        self.last: dict[str, float] = {}
        self.started: list[str] = []
        self.begin()

    def begin(self) -> None:
        """The agent starts; what ran has ended with it."""
        self.state = State.open(self.folder)
        self.scheduler = sched.scheduler(lambda: self.wall)
        self.ledger = Ledger(self.state, "boot")
        self.timetable = Timetable(self.scheduler, self.ledger, self.state, host="h", clock=lambda: self.wall)
        self.running: dict[str, Callable[[], None]] = {}

    def configure(self, **places: str) -> None:
        """Things that are due each night at 02:00, by their repositories."""
        schedule = OptionalSchedule(daily="02:00", timezone="UTC", catch_up=False)
        things = [Thing(self, name, schedule, *repositories.split()) for name, repositories in places.items()]
        self.timetable.replace({thing.key: thing for thing in things})

    def go_to(self, text: str) -> None:
        while (delay := self.scheduler.run(blocking=False)) is not None and self.wall + delay <= at(text):
            self.wall += delay
        self.wall = at(text)
        self.scheduler.run(blocking=False)
        self.ledger.flush(self.wall)

    def end(self, key: str) -> None:
        self.running.pop(key)()
        self.ledger.flush(self.wall)

    def stop(self) -> None:
        self.ledger.flush(self.wall)
        self.state.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The evening before."""
    made = World(tmp_path / "state")
    yield made
    made.stop()


def test_one_at_a_time_on_a_repository(world: World) -> None:
    """The others wait, in the order in which they became due; elsewhere nobody waits."""
    world.configure(one="a", two="a", three="b", four="a")
    world.go_to("2026-03-11 02:00:01")
    assert world.started == ["one", "three"]
    world.end("one")
    assert world.started == ["one", "three", "two"]
    world.end("three")
    assert list(world.running) == ["two"]
    world.end("two")
    assert world.started == ["one", "three", "two", "four"]


def test_one_that_needs_two_repositories_is_not_overtaken(world: World) -> None:
    """Who comes after it and needs one of them waits too: else it might wait for ever."""
    world.configure(one="a", both="a b", late="b")
    world.go_to("2026-03-11 02:00:01")
    assert world.started == ["one"]
    world.end("one")
    assert world.started == ["one", "both"]
    world.end("both")
    assert world.started == ["one", "both", "late"]


def test_what_is_due_while_it_runs_itself_runs_once_more(world: World) -> None:
    """However often it was due meanwhile."""
    world.configure(one="a")
    world.go_to("2026-03-14 12:00")
    assert world.started == ["one"]
    world.end("one")
    assert world.started == ["one", "one"]
    world.end("one")
    assert world.running == {}


def test_what_waits_runs_when_the_agent_starts_again(world: World) -> None:
    """Also where runs are not caught up on: its time had come."""
    world.configure(one="a", two="a")
    world.go_to("2026-03-11 02:00:01")
    world.stop()
    world.begin()
    world.configure(one="a", two="a")
    assert world.started == ["one", "two"]
    world.stop()
    world.begin()
    world.configure(one="a", two="a")
    assert world.started == ["one", "two"]


def test_what_is_no_longer_wanted_does_not_wait(world: World) -> None:
    """What has begun goes on."""
    world.configure(one="a", two="a")
    world.go_to("2026-03-11 02:00:01")
    world.configure(one="a")
    world.end("one")
    assert world.started == ["one"]
    world.stop()
    world.begin()
    world.configure(one="a", two="a")
    assert world.started == ["one"]


def test_a_repository_that_changes_while_something_waits(world: World) -> None:
    """What waits is what is configured now."""
    world.configure(one="a", two="a")
    world.go_to("2026-03-11 02:00:01")
    schedule = OptionalSchedule(daily="03:00", timezone="UTC", catch_up=False)
    things = [Thing(world, "one", schedule, "a"), Thing(world, "two", schedule, "b")]
    world.timetable.replace({thing.key: thing for thing in things})
    world.go_to("2026-03-11 02:30")
    world.end("one")
    assert world.started == ["one", "two"]


def test_what_works_on_another_repository_now_waits_for_that_one(world: World) -> None:
    """Though nothing of its own table has changed: a drill has the repository of its job."""
    world.configure(one="a", two="b")
    world.configure(one="a", two="a")
    world.go_to("2026-03-11 02:00:01")
    assert world.started == ["one"]


def test_what_cannot_begin_now_is_tried_again(world: World) -> None:
    """As where somebody works on the repository by hand. Who comes after it waits."""
    world.configure(one="a", two="a")
    world.running["one"] = lambda: None
    world.go_to("2026-03-11 02:00:01")
    world.timetable.look()
    assert world.started == []
    del world.running["one"]
    world.timetable.look()
    assert world.started == ["one"]


def test_a_clock_that_was_ahead_when_something_came_in_lets_nothing_be_missed(world: World) -> None:
    """What was due since it was set is caught up on."""
    schedule = OptionalSchedule(daily="02:00", timezone="UTC")
    world.wall = at("2031-01-01 00:00")
    world.timetable.replace({"one": Thing(world, "one", schedule)})
    world.wall = at("2026-03-10 20:00")
    world.timetable.replan()
    world.stop()
    world.begin()
    world.wall = at("2026-03-12 12:00")
    world.timetable.replace({"one": Thing(world, "one", schedule)})
    assert world.started == ["one"]


def test_a_new_state_is_told_what_was_known(world: World) -> None:
    """When something was first there, and what waits."""
    world.configure(one="a", two="a")
    world.go_to("2026-03-11 02:00:01")
    before = world.state.items("")
    world.stop()
    (world.folder / "agent.db").unlink(missing_ok=True)
    for file in world.folder.iterdir():
        file.unlink()
    world.state = State.open(world.folder)
    world.ledger.begin_anew(world.state)
    world.timetable.begin_anew()
    world.ledger.flush(world.wall)
    after = world.state.items("")
    assert {key for key in before if key.startswith(("seen:", "waiting:"))} <= after.keys()
    assert "waiting:two" in after


def test_hosts_of_a_fleet_do_not_act_at_once(world: World) -> None:
    """Each has its own delay, which stays."""
    schedule = OptionalSchedule(daily="02:00", timezone="UTC", jitter=3600.0)  # type: ignore[arg-type]
    dues = []
    for host in ("web-1", "web-2", "web-3", "web-1"):
        table = Timetable(world.scheduler, world.ledger, world.state, host=host, clock=lambda: world.wall)
        table.replace({"backup:etc": Thing(world, "backup:etc", schedule, "a")})
        due = table.due("backup:etc")
        assert due is not None
        dues.append(due - at("2026-03-11 02:00"))
        table.replace({})
    assert len(set(dues)) == 3
    assert dues[0] == dues[3]
    assert all(0 <= due < 3600 for due in dues)
