"""Checks at their intervals, with real children and a clock that the test moves."""

from __future__ import annotations

import sched
import selectors
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from agent.checks import registry
from agent.checks.contract import Check, CheckOptions, Context, Measurement, Sample
from agent.daemon.ledger import Ledger
from agent.daemon.rounds import SECOND_SAMPLE, SPREAD, Rounds
from agent.jobs.supervisor import Jobs
from agent.paths import System
from agent.state import State
from kit.errors import ConfigurationError
from kit.units import Duration
from wire.report import CheckState


class Options(CheckOptions, frozen=True, kw_only=True):
    """Nothing of its own."""

    value: float = 1.0


class Counter(Check[Options]):
    """Counts its runs in its memory, as a check of rates does."""

    Options = Options
    rates = True

    def collect(self, context: Context) -> Sample:
        count = (context.previous or 0) + 1
        return Sample([Measurement("runs", count)], summary=f"run {count}, {context.elapsed}", memory=count)


class Raising(Check[Options]):
    """Raises."""

    Options = Options

    def collect(self, context: Context) -> Sample:
        raise ZeroDivisionError("by nothing")


class Nonsense(Check[Options]):
    """Has a rule that cannot be applied."""

    Options = Options
    ran: ClassVar[list[float]] = []

    def rules(self) -> list[object]:  # type: ignore[override]  # the mistake that this check makes
        return [object()]

    def collect(self, context: Context) -> Sample:
        return Sample([Measurement("value", 1)])


class World:
    """A loop without a daemon."""

    def __init__(self, folder: Path, boot: str = "boot") -> None:
        self.ticks = 1000.0
        self.state = State.open(folder)
        self.selector = selectors.DefaultSelector()
        self.begin(boot)

    def begin(self, boot: str) -> None:
        self.scheduler = sched.scheduler(lambda: self.ticks)
        self.jobs = Jobs(self.selector)
        self.ledger = Ledger(self.state, boot)
        self.rounds = Rounds(self.scheduler, self.jobs, self.ledger, System(), clock=lambda: self.ticks)

    def go(self, seconds: float) -> None:
        """Let time pass, and run what is due on the way."""
        end = self.ticks + seconds
        while True:
            delay = self.scheduler.run(blocking=False)
            self.ledger.flush(self.ticks)
            if delay is None or self.ticks + delay > end:
                self.ticks = end
                return
            self.ticks += delay

    def finish(self) -> None:
        """Wait for the children."""
        while self.jobs.running:
            self.jobs.wait(10)
        self.ledger.flush(self.ticks)

    def check(self, name: str) -> CheckState:
        return self.ledger.checks[name].state


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """With three more kinds of checks."""
    for check in (Counter, Raising, Nonsense):
        monkeypatch.setitem(registry.CHECKS, check.__name__.lower(), f"{__name__}:{check.__name__}")
    world = World(tmp_path)
    yield world
    world.jobs.stop(1)
    world.selector.close()
    world.state.close()


def test_checks_run_at_once_and_then_at_their_intervals(world: World) -> None:
    """Rates get an early second sample, and the grid is that of the first run."""
    world.rounds.replace({"counter": Options(every=Duration(15))})
    world.go(0)
    assert world.check("counter").time == 1000
    world.go(SECOND_SAMPLE)
    assert world.check("counter").message == f"run 2, {SECOND_SAMPLE}"
    world.go(13)
    assert world.check("counter").message == f"run 3, {15 - SECOND_SAMPLE}"
    world.go(29)
    assert world.check("counter").time == 1030


def test_a_check_that_raises_is_unknown_and_the_others_run(world: World) -> None:
    """The reason is shown, also where judging is what fails."""
    world.rounds.replace({"counter": Options(), "raising": Options(), "nonsense": Options()})
    world.go(0)
    assert world.check("raising").state == "unknown"
    assert world.check("raising").message == "the check failed: ZeroDivisionError: by nothing"
    assert world.check("nonsense").state == "unknown"
    assert "AttributeError" in world.check("nonsense").message
    assert world.check("counter").state == "ok"


def test_unchanged_checks_go_on_as_if_nothing_had_happened(world: World) -> None:
    """A reload neither restarts nor forgets them; a changed one keeps its memory; a removed one never runs again."""
    same, other = Options(every=Duration(10)), Options(every=Duration(10), type="counter")
    world.rounds.replace({"counter": same, "other": other, "gone": other})
    world.go(15)
    world.rounds.replace({"counter": same, "other": Options(every=Duration(10), type="counter", value=2)})
    world.go(0)
    assert world.check("counter").time == 1010
    assert world.check("other").time == 1015
    assert world.check("other").message == "run 4, 5.0"
    world.go(10)
    assert world.check("gone").time == 1010


def test_an_unknown_kind_changes_nothing(world: World) -> None:
    """The error comes before the first change."""
    world.rounds.replace({"counter": Options(every=Duration(10))})
    with pytest.raises(ConfigurationError, match="no kind of check"):
        world.rounds.replace({"no-such": Options()})
    world.go(10)
    assert world.check("counter").time == 1010


def test_memory_outlives_a_restart_but_counters_do_not_outlive_a_boot(world: World) -> None:
    """Within a boot the counters go on; in another one they start again, and `since` stays."""
    options = {"counter": Options(every=Duration(10))}
    world.rounds.replace(options)
    world.go(5)
    since = world.check("counter").since
    world.begin("boot")
    world.rounds.replace(options)
    world.go(0)
    assert world.check("counter").message == "run 3, 3.0"
    world.begin("another")
    world.rounds.replace(options)
    world.go(0)
    assert world.check("counter").message == "measuring: rates need a second sample"
    assert world.check("counter").since == since


def test_what_lasts_outlives_a_boot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place in a file is not forgotten with the counters."""
    monkeypatch.setattr(Counter, "lasting", True)
    options = {"counter": Options(every=Duration(10))}
    world.rounds.replace(options)
    world.go(5)
    world.begin("another")
    world.rounds.replace(options)
    world.go(3)
    assert world.check("counter").message == "run 4, 2.0"


def test_memory_of_another_version_is_forgotten(world: World) -> None:
    """What cannot be read is as good as nothing, and no error."""
    world.rounds.replace({"counter": Options()})
    world.go(0)
    with world.state.transaction() as connection:
        connection.execute("UPDATE checks SET memory = x'ff'")
    world.begin("boot")
    world.rounds.replace({"counter": Options()})
    world.go(0)
    assert world.check("counter").message == "measuring: rates need a second sample"


def command(*argv: str, timeout: float = 30, every: float = 10) -> CheckOptions:
    options = registry.load("command").Options
    return options(type="command", command=argv, timeout=Duration(timeout), every=Duration(every))  # type: ignore[call-arg]


def test_programs_are_spread_over_the_first_seconds(world: World) -> None:
    """Twenty programs do not start in the same instant, and all have started soon."""
    world.rounds.replace({f"c{number:02}": command("true") for number in range(20)})
    world.go(0)
    assert len(world.jobs.running) == 1
    world.go(SPREAD / 2)
    assert 5 < len(world.jobs.running) < 15
    world.go(SPREAD / 2)
    assert len(world.jobs.running) == 20
    world.finish()
    assert {world.check(f"c{number:02}").state for number in range(20)} == {"ok"}


def test_a_run_that_has_not_ended_is_not_joined_by_another(world: World) -> None:
    """The interval passes it over, and its own limit ends it: unknown, with the reason."""
    world.rounds.replace({"hung": command("sleep", "1000", timeout=0.5, every=1)})
    world.go(20)
    assert world.jobs.running == {"check:hung"}
    world.finish()
    assert world.check("hung").state == "unknown"
    assert "500ms" in world.check("hung").message


def test_a_check_removed_while_it_runs_says_nothing(world: World) -> None:
    """Its end is awaited, its outcome is nobody's."""
    world.rounds.replace({"slow": command("sleep", "0.2")})
    world.go(0)
    world.rounds.replace({})
    world.finish()
    assert "slow" not in world.ledger.checks


def test_a_run_that_ends_with_the_agent_says_nothing(world: World) -> None:
    """A restart of the agent changes no state, and so alarms nobody."""
    world.rounds.replace({"slow": command("sleep", "0.2")})
    world.go(0)
    world.finish()
    before = world.check("slow")
    assert before.state == "ok"
    world.go(10)
    assert world.jobs.running == {"check:slow"}
    world.rounds.stop()
    world.jobs.stop(1)
    world.ledger.flush(world.ticks)
    assert world.check("slow") == before


def test_a_program_that_cannot_start_is_unknown(world: World) -> None:
    """With its name in the reason."""
    world.rounds.replace({"missing": command("/no/such/plugin")})
    world.go(0)
    world.finish()
    assert world.check("missing").state == "unknown"
    assert "/no/such/plugin" in world.check("missing").message
