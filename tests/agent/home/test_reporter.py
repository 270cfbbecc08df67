"""Reports take along all that waits, once, within the limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.home.reporter import ROOM, Reporter, batches
from agent.home.spool import Spool
from agent.packages import kept
from agent.state import Kind, State, StoredCheck, Waiting
from tests.wire.reports import BACKUPS, FULL, LOGS, PACKAGES
from wire import codec, fit, limits
from wire.packages import Package, Packages, PendingUpdate
from wire.report import CheckState, Event, Gap, JobResult, Reading, Report


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A database of the test's own."""
    found = State.open(tmp_path / "state")
    yield found
    found.close()


class Desk:
    """A reporter, and what it has made."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.spool = Spool(state)
        self.reporter = Reporter(state, self.spool, host="host-1", boot="boot-1")

    def compose(self, now: float = 1_700_000_000.0, *, size: int = 1 << 30, **facts: str) -> list[Report]:
        """What one call adds to the spool."""
        (before,) = self.state.connection.execute("SELECT coalesce(max(sequence), 0) FROM spool").fetchone()
        made = self.reporter.compose(facts=facts, interval=15, now=now, max_size=size, max_age=1e9)
        rows = self.state.connection.execute("SELECT body FROM spool WHERE sequence > ? ORDER BY sequence", (before,))
        reports = [codec.decode(body) for (body,) in rows]
        assert len(reports) == made
        return reports


@pytest.fixture
def desk(state: State) -> Desk:
    """At its start."""
    return Desk(state)


def test_a_report_takes_along_all_that_waits_once(state: State, desk: Desk) -> None:
    with state.transaction():
        state.enqueue(FULL.readings)
        for item in (*FULL.events, *FULL.jobs, *LOGS.logs, *BACKUPS.backups, *BACKUPS.drills):
            state.enqueue(item)
        for check in FULL.checks:
            state.save_check(StoredCheck(check, b"", "boot-1"))
        state.add_gap(FULL.gaps[1])
    (report,) = desk.compose(os="Debian")
    assert (report.readings, report.events, report.jobs) == (FULL.readings, FULL.events, FULL.jobs)
    assert (report.logs, report.backups, report.drills) == (LOGS.logs, BACKUPS.backups, BACKUPS.drills)
    assert report.gaps == [FULL.gaps[1]]
    assert sorted(report.checks, key=lambda check: check.name) == sorted(FULL.checks, key=lambda check: check.name)
    assert (report.host, report.epoch, report.boot, report.sequence) == ("host-1", state.epoch, "boot-1", 1)
    (report,) = desk.compose(os="Debian")
    assert (report.readings, report.events, report.jobs, report.gaps, report.logs) == ([], [], [], [], [])
    assert (report.backups, report.drills) == ([], [])
    assert len(report.checks) == len(FULL.checks)


def test_facts_are_told_at_a_start_and_when_they_change(state: State, desk: Desk) -> None:
    assert [report.facts for report in desk.compose(os="a", cpus="2")] == [{"os": "a", "cpus": "2"}]
    assert [report.facts for report in desk.compose(cpus="2", os="a")] == [None]
    assert [report.facts for report in desk.compose(os="b")] == [{"os": "b"}]
    assert [report.facts for report in Desk(state).compose(os="b")] == [{"os": "b"}]


def test_facts_of_a_lost_report_are_told_again(state: State, desk: Desk) -> None:
    desk.compose(os="a")
    with state.transaction():
        desk.spool.refuse(1)
    assert [report.facts for report in desk.compose(os="a")] == [{"os": "a"}]


def listed(state: State, packages: Packages) -> None:
    """As the daemon keeps a list of packages."""
    with state.transaction():
        for key, value in kept.values(msgspec.json.encode(packages)).items():
            state.put(key, value)


def test_packages_are_told_at_a_start_when_they_change_and_when_they_were_lost(state: State, desk: Desk) -> None:
    """In a report that takes nothing else along, before what waits."""
    first = PACKAGES.packages
    assert first is not None
    other = replace(first, left_out=99)
    listed(state, first)
    with state.transaction():
        state.enqueue(FULL.events[0])
    reports = desk.compose(os="a")
    assert [(report.packages, len(report.events), report.facts) for report in reports] == [
        (first, 0, {"os": "a"}),
        (None, 1, None),
    ]
    assert [report.packages for report in desk.compose(os="a")] == [None]
    listed(state, other)
    (report,) = desk.compose(os="a")
    assert report.packages == other
    assert [report.packages for report in Desk(state).compose(os="a")] == [other]
    with state.transaction():
        desk.spool.refuse(report.sequence)
    assert [report.packages for report in desk.compose(os="a")] == [other]


def test_the_longest_list_of_packages_fits_beside_every_check_in_its_longest_words(state: State, desk: Desk) -> None:
    """Home takes whatever a host has."""
    wide = "\N{GRINNING FACE}" * limits.MAX_MESSAGE
    with state.transaction():
        for number in range(limits.MAX_CHECKS):
            name = f"{number:04}" + "n" * (limits.MAX_NAME - 4)
            check = CheckState(name=name, kind=name, state="unknown", message=wide, since=1.5, time=1.5)
            state.save_check(StoredCheck(check, b"", "boot-1"))
    many = [Package(f"package-{number:05}", "1:2.3-4+deb12u5", "amd64") for number in range(20_000)]
    pending = [PendingUpdate(package.name, "1", "2", False, 1.7e9) for package in many]
    listed(state, fit.packages(Packages(manager="apt", installed=many, pending=pending)))
    (report,) = desk.compose(os="a")
    assert report.packages is not None
    assert len(report.packages.installed) > 3000


def test_a_list_of_packages_that_cannot_be_read_is_left_out(state: State, desk: Desk) -> None:
    """A version to come may have kept another."""
    with state.transaction():
        for key, value in kept.values(b"{}").items():
            state.put(key, value)
    assert [report.packages for report in desk.compose(os="a")] == [None]


def test_facts_of_a_report_that_was_not_kept_are_told_again(state: State, desk: Desk) -> None:
    """A full disk at the first report must not hide what the host is until the next start."""

    class DiskFullError(Exception):
        pass

    def fail(**_: object) -> None:
        raise DiskFullError

    trim = desk.spool.trim
    desk.spool.trim = fail  # type: ignore[method-assign]  # what fails stands in the middle of the transaction
    with pytest.raises(DiskFullError):
        desk.compose(os="a")
    desk.spool.trim = trim  # type: ignore[method-assign]  # and works again
    assert [(report.sequence, report.facts) for report in desk.compose(os="a")] == [(1, {"os": "a"})]


def test_what_is_too_much_for_one_report_goes_into_several(state: State, desk: Desk) -> None:
    readings = [Reading("c", f"n{i}", i, "", {"text": "x" * 200}) for i in range(limits.MAX_READINGS * 2)]
    with state.transaction():
        state.enqueue(readings)
        for number in range(limits.MAX_EVENTS + 1):
            state.enqueue(Event(time=1, kind="k", message=str(number)))
        state.add_gap(FULL.gaps[1])
    reports = desk.compose(os="a")
    assert [reading for report in reports for reading in report.readings] == readings
    assert len([event for report in reports for event in report.events]) == limits.MAX_EVENTS + 1
    assert [len(report.gaps) for report in reports] == [1] + [0] * (len(reports) - 1)
    assert [report.facts for report in reports] == [{"os": "a"}] + [None] * (len(reports) - 1)


def test_more_rows_than_are_read_at_once_are_all_taken(state: State, desk: Desk) -> None:
    with state.transaction():
        for number in range(2500):
            state.enqueue([Reading("c", "n", number)])
    reports = desk.compose()
    assert [reading.value for report in reports for reading in report.readings] == list(range(2500))
    assert state.outbox(1) == []


def test_the_longest_report_there_can_be_is_taken(state: State, desk: Desk) -> None:
    """Every check in its longest words, in letters that JSON needs six bytes for, and a full outbox beside them."""
    with state.transaction():
        for number in range(limits.MAX_CHECKS + 5):
            name = f"{number:04}".ljust(limits.MAX_NAME, "x")
            check = CheckState(
                name=name, kind=name, state="ok", message="\x01" * limits.MAX_MESSAGE, since=1.7e9, time=1.7e9
            )
            state.save_check(StoredCheck(check, b"", "boot-1"))
        for number in range(300):
            label = {f"l{i}": "\x01" * limits.MAX_VALUE for i in range(limits.MAX_LABELS)}
            state.enqueue([Reading("c", "n", number, "", label)])
    reports = desk.compose()
    assert sum(len(report.readings) for report in reports) == 300
    assert all(len(report.checks) == limits.MAX_CHECKS for report in reports)


def test_a_row_that_cannot_be_read_is_a_gap_and_stops_nothing(state: State, desk: Desk) -> None:
    with state.transaction() as connection:
        for kind in ("readings", "event", "job"):
            connection.execute("INSERT INTO outbox (kind, row) VALUES (?, ?)", (kind, b'{"later": 1}'))
        state.enqueue([Reading("c", "n", 1)])
    (report,) = desk.compose(now=5.0)
    assert len(report.readings) == 1
    (report,) = desk.compose(now=6.0)
    assert report.gaps == [Gap(reason="corrupt", since=5.0, until=5.0, readings=1, events=1, job_results=1)]


def test_a_clock_out_of_range_still_makes_reports(desk: Desk) -> None:
    """A host may wake up before 1970 or after 2100; home shall hear from it all the same."""
    assert [report.time for report in desk.compose(now=-5.0)] == [0.0]
    assert [report.time for report in desk.compose(now=1e12)] == [limits.MAX_TIME]


def test_a_report_is_on_the_disk_before_it_is_sent(state: State, desk: Desk) -> None:
    """A power cut must not take back a number that home has seen, for it would be given to another report."""
    seen = []
    state.connection.set_trace_callback(seen.append)
    desk.compose()
    state.connection.set_trace_callback(None)
    begin = next(number for number, line in enumerate(seen) if line.startswith("BEGIN"))
    assert "synchronous = FULL" in seen[begin - 1]
    assert not any("synchronous" in line for line in seen[begin:])


@given(st.lists(st.tuples(st.sampled_from(["readings", "event", "job"]), st.integers(0, 400)), max_size=20))
def test_batches_hold_all_in_order_and_each_has_its_room(sizes: list[tuple[Kind, int]]) -> None:
    """Whatever rows wait: nothing is left out, nothing comes twice, and no report becomes too large."""
    value = Reading("c", "n", 1.5, "", {"l": "x" * 250})
    encoded: dict[Kind, bytes] = {
        "event": msgspec.json.encode(Event(time=1, kind="k", message="m")),
        "job": msgspec.json.encode(JobResult(name="n", started=0, finished=1, outcome="done")),
    }
    waiting = [
        Waiting(number, kind, encoded.get(kind) or msgspec.json.encode([value] * many))
        for number, (kind, many) in enumerate(sizes)
    ]

    def lost(kind: Kind) -> None:
        raise AssertionError(kind)

    made = list(batches(waiting, lost))
    assert made
    assert sum(len(batch.readings) for batch in made) == sum(many for kind, many in sizes if kind == "readings")
    assert sum(len(batch.events) for batch in made) == sum(kind == "event" for kind, _ in sizes)
    assert sum(len(batch.jobs) for batch in made) == sum(kind == "job" for kind, _ in sizes)
    for batch in made:
        size = sum(len(msgspec.json.encode(part)) for part in (batch.readings, batch.events, batch.jobs))
        assert size <= ROOM + 1000
        assert len(batch.readings) <= limits.MAX_READINGS
