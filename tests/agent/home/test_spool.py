"""Every loss is counted exactly once, whatever is trimmed, refused, repeated or killed, and in whatever order."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from agent.home.reporter import Reporter
from agent.home.spool import Spool
from agent.state import State
from tests.agent.home.server import Marks, count
from tests.wire.reports import BACKUPS, FULL, LOGS, SMALL
from wire import codec
from wire.report import Event, Gap, JobResult, Reading, Report


class Killed(BaseException):
    """Stands for kill -9: what is raised in a transaction leaves nothing of it."""


def lost(gaps: list[Gap]) -> Counter[str]:
    """What the gaps count."""
    return count(replace(SMALL, gaps=gaps))


class Accounts(RuleBasedStateMachine):
    """Produces, composes, delivers, loses, kills; and holds the books against what home has."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = Marks()
        self.produced: Counter[str] = Counter()
        self.now = 1_700_000_000.0
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """As a daemon does at its start."""
        self.state = State.open(self.folder)
        self.spool = Spool(self.state)
        self.reporter = Reporter(self.state, self.spool, host="host-1", boot="boot-1")

    def teardown(self) -> None:
        """Nothing is left behind."""
        self.state.close()
        shutil.rmtree(self.folder)

    @rule(readings=st.integers(0, 30), events=st.integers(0, 2), jobs=st.integers(0, 1), others=st.integers(0, 3))
    def measure(self, readings: int, events: int, jobs: int, others: int) -> None:
        """Let the next report take something along."""
        with self.state.transaction():
            if readings:
                self.state.enqueue(
                    [Reading("c", f"value_{self.number + i}", i, "", {}, self.now) for i in range(readings)]
                )
            for _ in range(events):
                self.state.enqueue(Event(time=self.now, kind="k", message="m"))
            for _ in range(jobs):
                self.state.enqueue(JobResult(name="j", started=0, finished=1, outcome="done"))
            for item in (LOGS.logs[0], BACKUPS.backups[0], BACKUPS.drills[0])[:others]:
                self.state.enqueue(item)
        self.number += readings
        self.produced.update(readings=readings, events=events + others, job_results=jobs)

    @rule(size=st.integers(200, 6000), age=st.sampled_from([60.0, 1e9]), passed=st.floats(0.1, 40))
    def compose(self, size: int, age: float, passed: float) -> None:
        """Make a report, and trim to a bound that differs every time."""
        self.now += passed
        before = lost(self.state.gaps(reported=False))
        self.reporter.compose(facts={"os": "x"}, interval=15, now=self.now, max_size=size, max_age=age)
        waiting = self.spool.waiting()
        assert waiting.bytes <= size or waiting.reports == 1
        size_gaps = [gap for gap in self.state.gaps(reported=False) if gap.reason == "size"]
        if any(gap.events or gap.job_results for gap in size_gaps):
            assert not any(report.readings for report in self.waiting()), (before, size_gaps)

    @rule(part=st.sampled_from(["_strip", "_lose", "_put", "trim"]), size=st.integers(200, 3000))
    def die_composing(self, part: str, size: int) -> None:
        """Killed in the middle: a new process finds what was there before."""

        def die(*_: object, **__: object) -> None:
            raise Killed

        setattr(self.spool, part, die)
        with contextlib.suppress(Killed):
            self.reporter.compose(facts={}, interval=15, now=self.now, max_size=size, max_age=1e9)
        self.state.close()
        self.begin()

    @precondition(lambda self: self.spool.head() is not None)
    @rule(heard=st.booleans())
    def deliver(self, heard: bool) -> None:
        """Home takes the oldest; its answer may be lost."""
        head = self.spool.head()
        assert head is not None
        self.home.take(codec.decode(head.body))
        if heard:
            with self.state.transaction():
                self.spool.acknowledge(head.sequence)

    @precondition(lambda self: self.spool.head() is not None)
    @rule()
    def be_refused(self) -> None:
        """Home will never take the oldest; if it has it already, it says so instead."""
        head = self.spool.head()
        assert head is not None
        report = codec.decode(head.body)
        with self.state.transaction():
            if report.sequence <= self.home.marks.get((report.host, report.epoch), 0):
                self.spool.acknowledge(head.sequence)
            else:
                self.spool.refuse(head.sequence)

    def waiting(self) -> list[Report]:
        """What is in the spool."""
        rows = self.state.connection.execute("SELECT body FROM spool ORDER BY sequence").fetchall()
        return [codec.decode(body) for (body,) in rows]

    @invariant()
    def the_books_balance(self) -> None:
        """Produced = at home + told as lost + waiting, for each kind, exactly."""
        found = self.home.counts() + lost(self.state.gaps(reported=False))
        for report in self.waiting():
            if report.sequence > self.home.marks.get((report.host, report.epoch), 0):
                found += count(report)
        for row in self.state.outbox(10_000):
            counted = {"readings": "readings", "job": "job_results"}.get(row.kind, "events")
            found[counted] += row.row.count(b"value_") or 1
        assert found == +self.produced

    @invariant()
    def the_totals_are_those_of_the_rows(self) -> None:
        """What the status shows is what there is."""
        rows = self.state.connection.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM spool").fetchone()
        waiting = self.spool.waiting()
        assert (waiting.reports, waiting.bytes) == rows

    @invariant()
    def nothing_comes_twice(self) -> None:
        """Every reading that home has, it has once."""
        names = [reading.name for report in self.home.taken for reading in report.readings]
        assert len(names) == len(set(names))


class TestAccounts(Accounts.TestCase):
    """Interleavings of all of it."""

    settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A database of the test's own."""
    found = State.open(tmp_path / "state")
    yield found
    found.close()


def add(state: State, spool: Spool, report: Report) -> int:
    """In a transaction of its own."""
    with state.transaction():
        return spool.add(report)


def bodies(state: State) -> list[Report]:
    """What is in the spool."""
    return [codec.decode(body) for (body,) in state.connection.execute("SELECT body FROM spool ORDER BY sequence")]


def trim(state: State, spool: Spool, *, size: int = 1 << 30, age: float = 1e9, now: float = FULL.time) -> None:
    """In a transaction of its own."""
    with state.transaction():
        spool.trim(now=now, max_size=size, max_age=age)


def test_a_number_is_never_given_twice(state: State) -> None:
    """Not when all were delivered, and not after a restart; a number that was rolled back was never given."""
    spool = Spool(state)
    assert [add(state, spool, SMALL) for _ in range(3)] == [1, 2, 3]
    with state.transaction():
        for sequence in (1, 2, 3):
            spool.acknowledge(sequence)
    assert spool.head() is None
    with pytest.raises(Killed), state.transaction():
        spool.add(SMALL)
        raise Killed
    assert add(state, spool, SMALL) == 4
    head = spool.head()
    assert head is not None
    assert codec.decode(head.body).sequence == 4


def test_the_oldest_readings_go_first_and_their_report_tells_so(state: State) -> None:
    spool = Spool(state)
    for number in range(4):
        add(state, spool, replace(FULL, time=FULL.time + number, gaps=[]))
    each = spool.waiting().bytes // 4
    trim(state, spool, size=4 * each - 1)
    first, *others = bodies(state)
    assert first.readings == []
    assert first.gaps == [Gap(reason="size", since=1700000000.0, until=1700000000.25, readings=3)], (
        "a reading without a time of its own has the report's"
    )
    assert (first.sequence, first.events, first.jobs, first.checks) == (1, FULL.events, FULL.jobs, FULL.checks)
    assert all(report.readings == FULL.readings for report in others)


def test_reports_go_when_no_readings_are_left_and_events_last(state: State) -> None:
    spool = Spool(state)
    bare = replace(SMALL, time=FULL.time, checks=FULL.checks)
    for report in (bare, replace(bare, events=FULL.events), bare, replace(bare, jobs=FULL.jobs), bare):
        add(state, spool, report)
    gone = []
    while spool.waiting().reports > 1:
        before = {report.sequence for report in bodies(state)}
        trim(state, spool, size=spool.waiting().bytes - 1)
        gone += sorted(before - {report.sequence for report in bodies(state)})
    assert gone == [3, 5, 2, 4], "and the oldest of all stays: it may be at home already"


def test_dropped_reports_hand_on_the_gaps_they_would_have_told(state: State) -> None:
    spool = Spool(state)
    add(state, spool, replace(SMALL, time=FULL.time))
    add(state, spool, FULL)
    trim(state, spool, size=1)
    assert lost(state.gaps(reported=False)) == count(FULL)
    assert sum(gap.reports for gap in state.gaps(reported=False)) == 1001


def test_what_is_too_old_goes_as_a_whole_but_for_the_oldest(state: State) -> None:
    spool = Spool(state)
    for time in (1000.0, 2000.0, 3000.0):
        add(state, spool, replace(SMALL, time=time, readings=[Reading("c", "n", 1.0)]))
    trim(state, spool, now=3600.0, age=1000.0)
    assert [report.sequence for report in bodies(state)] == [1, 3]
    assert state.gaps(reported=False) == [Gap(reason="age", since=2000.0, until=2000.0, readings=1, reports=1)]


def test_a_clock_that_was_set_back_makes_nothing_too_old(state: State) -> None:
    spool = Spool(state)
    for time in (9e8, 1e9):
        add(state, spool, replace(SMALL, time=time))
    trim(state, spool, now=10.0, age=1000.0)
    assert len(bodies(state)) == 2


def test_a_body_that_cannot_be_read_is_counted_by_what_stands_beside_it(state: State) -> None:
    """A disk that lies, or a newer version that was here before a downgrade."""
    spool = Spool(state)
    for _ in range(3):
        add(state, spool, replace(FULL, gaps=[]))
    state.connection.execute("UPDATE spool SET body = x'00' WHERE sequence = 2")
    trim(state, spool, size=1)
    gaps = {gap.reason: gap for gap in state.gaps(reported=False)}
    assert (gaps["corrupt"].readings, gaps["corrupt"].events, gaps["corrupt"].job_results) == (3, 2, 2)
    assert [report.sequence for report in bodies(state)] == [1]
    state.connection.execute("UPDATE spool SET body = x'00' WHERE sequence = 1")
    with state.transaction():
        spool.refuse(1)
    gaps = {gap.reason: gap for gap in state.gaps(reported=False)}
    assert (gaps["corrupt"].readings, gaps["corrupt"].events, gaps["corrupt"].reports) == (3, 4, 2)


def test_to_refuse_what_is_gone_changes_nothing(state: State) -> None:
    """A sender that was left behind may come late with its answer."""
    spool = Spool(state)
    with state.transaction():
        spool.refuse(7)
        spool.acknowledge(7)
    assert state.gaps() == []
    assert spool.waiting().reports == 0
