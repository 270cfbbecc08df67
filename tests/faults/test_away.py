"""Home is away for a day, by a clock that the test sets."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.checks.runner import Judged, Memory
from agent.daemon.ledger import Ledger
from agent.home import identity
from agent.home.reporter import Reporter
from agent.home.sender import Sender
from agent.home.spool import Spool
from agent.state import State
from tests.agent.daemon.daemons import wait_for
from tests.agent.home.server import Home, count
from wire.report import CheckState, Event, JobResult, Reading

INTERVAL = 15.0
INTERVALS = 5760
"""Of 15 s: a day."""
START = 1_800_000_000.0
EVENT_EVERY, JOB_EVERY = 40, 240
"""Intervals."""
READINGS = 8
"""In each."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory: what is tried is the arithmetic, and a day has thousands of waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield Path(path) / "state"


@pytest.mark.parametrize(("bound", "max_size", "max_age"), [("size", 1 << 20, 1e9), ("age", 1 << 30, 6 * 3600.0)])
def test_a_day_without_home(tmp_path: Path, folder: Path, bound: str, max_size: int, max_age: float) -> None:
    """What the spool has no room for is gone, the oldest readings first, and counted; all else arrives, once."""
    now = START
    with Home(tmp_path) as home, closing(State.open(folder)) as state:
        key = identity.prepare_key(folder)
        identity.save(folder, collector=home.url, host="host-1", name="h", ca=home.ca.read_bytes())
        found = identity.load(folder)
        assert found is not None
        home.enroll(folder, key)
        home.clock = lambda: now
        home.disappear()
        ledger = Ledger(state, "boot")
        ledger.reporting = True
        spool = Spool(state)
        reporter = Reporter(state, spool, host="host-1", boot="boot")
        for number in range(INTERVALS):
            now = START + number * INTERVAL
            check = CheckState(name="c", kind="c", state="ok", message="", since=START, time=now, interval=INTERVAL)
            readings = [Reading("c", "number", number, "", {"i": str(i)}, now) for i in range(READINGS)]
            ledger.judged(Judged(check, readings, Memory(kind="c", state="ok", since=START), None))
            if number % EVENT_EVERY == 0:
                ledger.event(Event(time=now, kind="k", message=str(number)))
            if number % JOB_EVERY == 0:
                ledger.job(
                    JobResult(name="j", started=now, finished=now, outcome="done", message=str(number)), keep=5
                )
            ledger.flush(now)
            reporter.compose(facts={}, interval=INTERVAL, now=now, max_size=max_size, max_age=max_age)
            if number % 500 == 0:
                assert spool.waiting().bytes <= max_size + 2000, "one report may be above the bound"
        home.appear()
        sender = Sender(state, found, timeout=30, clock=lambda: now, uniform=lambda low, high: 0.01)
        sender.start()
        wait_for(lambda: not spool.waiting().reports, patience=100)
        reporter.compose(facts={}, interval=INTERVAL, now=now, max_size=max_size, max_age=max_age)
        sender.wake()
        wait_for(lambda: not spool.waiting().reports)
        assert sender.stop(60)
        assert state.outbox(1) == [] and state.gaps(reported=False) == []
    taken = home.marks.taken
    arrived = sum((count(report) for report in taken), Counter[str]())
    produced = Counter(
        readings=INTERVALS * READINGS, events=INTERVALS // EVENT_EVERY, job_results=INTERVALS // JOB_EVERY
    )
    assert {name: arrived[name] for name in produced} == dict(produced), "there, or counted as lost; never both"
    there = [int(reading.value) for report in taken for reading in report.readings]
    assert max(Counter(there).values(), default=0) <= READINGS
    reasons = {gap.reason for report in taken for gap in report.gaps}
    # The first report of all is kept: home may have it, for all that the agent knows.
    kept = sorted(set(there) - {0})
    assert kept == list(range(kept[0], INTERVALS)), "the newest are there without a hole"
    events = [event.message for report in taken for event in report.events]
    jobs = [job.message for report in taken for job in report.jobs]
    if bound == "age":
        assert reasons == {"age"}
        assert INTERVALS - kept[0] == pytest.approx(max_age / INTERVAL, abs=2)
        assert {int(event) for event in events if int(event)} == {n for n in kept if n % EVENT_EVERY == 0}
        return
    assert reasons == {"size"}
    assert events == [str(n) for n in range(0, INTERVALS, EVENT_EVERY)]
    assert jobs == [str(n) for n in range(0, INTERVALS, JOB_EVERY)]
    assert kept[0] > INTERVALS // 4
