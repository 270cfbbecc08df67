"""What is kept at the end of a turn, and what becomes of it when nothing can be kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.checks.runner import Judged, Memory
from agent.daemon.ledger import PENDING, Ledger
from agent.state import State, StateCorruptError
from tests.agent.tmpfs import fill, small_disk
from tests.require import require_root
from tests.wire.reports import BACKUPS
from wire.report import CheckState, Event, JobResult, Reading


def judged(name: str = "cpu", time: float = 1.0, *, event: Event | None = None) -> Judged:
    return Judged(
        CheckState(name=name, kind=name, state="ok", message="fine", since=0.0, time=time, interval=15),
        [Reading(name, "cpu_used_percent", 1.0, "percent", {}, time)],
        Memory(kind=name, state="ok", since=0.0),
        event,
    )


def event(time: float) -> Event:
    return Event(time=time, kind="x", message="m" * 400)


def result(name: str, started: float) -> JobResult:
    return JobResult(name=name, started=started, finished=started, outcome="done", message="m" * 400)


def test_a_turn_is_kept_as_a_whole(tmp_path: Path) -> None:
    """States, events, results and small values are there after a flush, and the report gets what it wants."""
    state = State.open(tmp_path)
    ledger = Ledger(state, "boot")
    ledger.reporting = True
    ledger.judged(judged(event=event(1)))
    ledger.job(result("dump", 2), keep=3)
    ledger.backup(BACKUPS.backups[0])
    ledger.drill(BACKUPS.drills[0])
    ledger.put("key", "value")
    assert state.checks() == {}
    ledger.flush(3)
    assert state.checks()["cpu"].boot == "boot"
    assert ledger.checks == state.checks()
    assert [kept.time for kept in state.events()] == [1]
    assert state.last_runs()["dump"].started == 2
    assert state.get("key") == "value"
    assert [row.kind for row in state.outbox(10)] == ["readings", "job", "event", "backup", "drill"]
    ledger.flush(4)
    assert len(state.outbox(10)) == 5


def test_nothing_is_put_aside_for_a_home_that_there_is_not(tmp_path: Path) -> None:
    """An agent without a home does not fill its disk."""
    state = State.open(tmp_path)
    ledger = Ledger(state, "boot")
    ledger.judged(judged(event=event(1)))
    ledger.job(result("dump", 2), keep=3)
    ledger.backup(BACKUPS.backups[0])
    ledger.flush(3)
    assert state.outbox(10) == []


def test_checks_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    """In memory and on the disk."""
    state = State.open(tmp_path)
    ledger = Ledger(state, "boot")
    for name in ("cpu", "disk"):
        ledger.judged(judged(name))
    ledger.flush(1)
    ledger.judged(judged("disk", 2))
    ledger.keep_checks({"cpu", "config"})
    ledger.flush(2)
    assert set(state.checks()) == set(ledger.checks) == {"cpu"}


def test_what_stands_keeps_since_until_its_state_changes(tmp_path: Path) -> None:
    """News is told by the return value, so that the caller can say it in an event."""
    ledger = Ledger(State.open(tmp_path), "boot")
    assert not ledger.stands("config", "config", "ok", "fine", now=1)
    assert ledger.stands("config", "config", "warning", "bad", now=2)
    assert not ledger.stands("config", "config", "warning", "worse", now=3)
    stands = ledger.checks["config"].state
    assert (stands.since, stands.time, stands.message) == (2, 3, "worse")


def test_a_new_database_learns_all_that_is_known(tmp_path: Path) -> None:
    """After damage nothing that the daemon knows is missing from status."""
    ledger = Ledger(State.open(tmp_path / "one"), "boot")
    ledger.judged(judged("cpu"))
    ledger.judged(judged("disk"))
    ledger.flush(1)
    other = State.open(tmp_path / "two")
    ledger.begin_anew(other)
    ledger.flush(2)
    assert set(other.checks()) == {"cpu", "disk"}


def test_damage_loses_nothing_of_the_turn(tmp_path: Path) -> None:
    """What could not be written because the database is damaged is written into the next one."""
    state = State.open(tmp_path / "one")
    ledger = Ledger(state, "boot")
    state.connection.execute("PRAGMA writable_schema = ON")
    state.connection.execute("UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'events'")
    state.close()
    damaged = State(tmp_path / "one", sqlite3.connect(tmp_path / "one" / "agent.db", isolation_level=None))
    ledger.begin_anew(damaged)
    ledger.judged(judged(event=event(1)))
    with pytest.raises(StateCorruptError):
        ledger.flush(1)
    damaged.close()
    state = State.open(tmp_path / "one")
    assert state.damage is not None
    ledger.begin_anew(state)
    ledger.flush(2)
    assert state.events() == [event(1)]
    assert set(state.checks()) == {"cpu"}


@pytest.mark.root
def test_a_full_disk_is_counted(tmp_path: Path) -> None:
    """Readings are dropped and counted, events and results wait up to their bound, states are never lost."""
    require_root()
    with small_disk(tmp_path / "disk", size="1M") as disk:
        state = State.open(disk / "state")
        ledger = Ledger(state, "boot")
        ledger.reporting = True
        ledger.flush(0)
        fill(disk / "ballast")
        turns = 0
        while not ledger.trouble or turns < PENDING + 50:
            turns += 1
            ledger.judged(judged(time=turns))
            ledger.event(event(turns))
            ledger.job(result("dump", turns), keep=1000)
            ledger.backup(BACKUPS.backups[0])
            ledger.flush(turns)
        kept = {
            "readings": sum(row.kind == "readings" for row in state.outbox(10_000)),
            "events": sum(row.kind in ("event", "backup") for row in state.outbox(10_000)),
            "jobs": sum(row.kind == "job" for row in state.outbox(10_000)),
        }
        (disk / "ballast").unlink()
        ledger.event(event(turns + 1))
        ledger.flush(turns + 1)
        assert ledger.trouble == ""
        assert state.checks()["cpu"].state.time == turns
        rows = state.outbox(10_000)
        (gap,) = state.gaps()
        assert gap.reason == "disk_full"
        assert gap.readings == turns - kept["readings"] > 0
        assert sum(row.kind in ("event", "backup") for row in rows) + gap.events == 2 * turns + 1
        assert sum(row.kind == "job" for row in rows) + gap.job_results == turns
        assert kept["events"] < 2 * turns
        state.close()
