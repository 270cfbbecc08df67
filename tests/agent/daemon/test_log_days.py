"""The days of logs that the daemon has told, with a clock that the test sets and real processes."""

from __future__ import annotations

import selectors
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.daemon import log_days
from agent.daemon.ledger import Ledger
from agent.daemon.log_days import DONE, JOB, Day, LogDays, command, yesterday
from agent.jobs.supervisor import Jobs
from agent.state import State
from tests.agent.daemon.daemons import wait_for
from tests.wire.reports import LOGS
from tests.zones import zone
from wire.report import LogSummary

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
ROW = msgspec.json.encode(LOGS.logs[0]).decode()


@pytest.fixture
def berlin() -> Iterator[None]:
    """A zone with summer time."""
    with zone("Europe/Berlin"):
        yield


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "name", "hours"),
    [
        ("2026-11-22T12:00", "2026-11-21", 24),
        ("2026-03-30T12:00", "2026-03-29", 23),
        ("2026-10-26T12:00", "2026-10-25", 25),
        ("2026-01-01T12:00", "2025-12-31", 24),
        ("2026-11-21T23:00:01", "2026-11-20", 24),
        ("2026-11-22T00:00", "2026-11-21", 24),
    ],
)
def test_a_day_is_one_of_the_hosts_calendar(now: str, name: str, hours: int) -> None:
    """It is over a while after midnight, which is at 23:00 of UTC here."""
    day = yesterday(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp(), "host-1")
    assert (day.name, day.until - day.since) == (name, hours * 3600)


def test_hosts_look_at_different_moments() -> None:
    midnight = yesterday(NOON, "x").until
    seen = {
        next(minute for minute in range(31) if yesterday(midnight + 60 * minute, f"host-{number}").until == midnight)
        for number in range(20)
    }
    assert len(seen) > 5


class World:
    """A daemon's parts."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.state = State.open(folder)
        self.ledger = Ledger(self.state, "boot")
        self.ledger.reporting = True
        self.jobs = Jobs(selectors.DefaultSelector())
        self.days = LogDays(self.jobs, self.ledger, self.state, host="h", clock=lambda: self.now)

    def look(self) -> None:
        """Look, and wait for what that began."""
        self.days.look()
        self.finish()

    def finish(self) -> None:
        def ended() -> bool:
            self.jobs.wait(0.05)
            return JOB not in self.jobs.running

        wait_for(ended)
        self.ledger.flush(self.now)

    def told(self) -> list[LogSummary]:
        rows = [row for row in self.state.outbox(100) if row.kind == "logs"]
        return [msgspec.json.decode(row.row, type=LogSummary) for row in rows]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One that is enrolled."""
    made = World(tmp_path)
    yield made
    made.jobs.stop(1)
    made.state.close()


def printing(monkeypatch: pytest.MonkeyPatch, text: str, code: int = 0) -> None:
    """Let a stand-in take the place of the analysis."""
    script = f"import sys; print({text!r}); sys.exit({code})"
    monkeypatch.setattr(log_days, "command", lambda *_: [sys.executable, "-S", "-c", script])


def test_a_day_is_told_once(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also by the daemon that starts after this one."""
    printing(monkeypatch, ROW)
    world.look()
    assert world.told() == LOGS.logs
    assert world.state.get(DONE) == "2026-11-21"
    world.look()
    world.state.close()
    again = World(tmp_path)
    again.look()
    assert len(again.told()) == 1
    again.now += 86400
    again.look()
    assert len(again.told()) == 2
    again.state.close()


def test_a_day_that_cannot_be_summed_up_is_said_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few times; the next day has tries of its own."""
    for text, code in ((ROW, 3), ("what", 0)):
        printing(monkeypatch, text, code)
        world.look()
    printing(monkeypatch, "", 1)
    for _ in range(3):
        world.look()
    assert world.told() == []
    failed = [event for event in world.state.events() if event.kind == "logs.failed"]
    assert len(failed) == log_days.TRIES
    world.now += 86400
    printing(monkeypatch, ROW)
    world.look()
    assert len(world.told()) == 1


def test_without_a_home_or_where_it_is_turned_off_nothing_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing(monkeypatch, ROW)
    world.ledger.reporting = False
    world.look()
    world.ledger.reporting, world.days.enabled = True, False
    world.look()
    assert world.told() == []


def test_the_real_analysis_prints_what_home_takes(world: World) -> None:
    """Of whatever logs the machine has."""
    day = Day("2026-11-21", NOON - 86400, NOON)
    assert command(day, world.state.folder)[0] == sys.executable
    world.look()
    (told,) = world.told()
    assert told.day == "2026-11-21"
