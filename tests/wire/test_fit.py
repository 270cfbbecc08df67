"""What was measured is made to fit, so that no report is ever refused for what a host happens to be called."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.wire import reports as fitting
from tests.wire.reports import FULL, SMALL
from wire import codec, fit, limits
from wire.packages import Package, Packages, PendingUpdate
from wire.report import (
    BackupCopy,
    BackupRun,
    CheckState,
    Drill,
    Event,
    JobResult,
    LogAccess,
    LogCount,
    LogLogin,
    LogShape,
    LogSummary,
    Reading,
)

anything = st.text(st.characters(), max_size=600)
numbers = st.floats()
wild_checks = st.builds(
    CheckState,
    name=anything,
    kind=anything,
    state=fitting.states,
    message=anything,
    since=numbers,
    time=numbers,
    duration=numbers,
    interval=numbers,
)
wild_events = st.builds(Event, time=numbers, kind=anything, message=anything, state=fitting.states, check=anything)
wild_jobs = st.builds(
    JobResult,
    name=anything,
    started=numbers,
    finished=numbers,
    outcome=st.just("done"),
    exit_code=st.none() | st.integers(),
    message=anything,
    cpu=numbers,
    peak_memory=st.integers(),
)
wild_readings = st.builds(
    Reading,
    check=anything,
    name=anything,
    value=numbers,
    unit=anything,
    labels=st.dictionaries(anything, anything, max_size=limits.MAX_LABELS + 4),
    time=numbers,
)


@given(wild_checks, wild_events, wild_jobs, st.lists(wild_readings, max_size=3), st.dictionaries(anything, anything))
def test_whatever_is_measured_can_be_sent(
    check: CheckState, event: Event, job: JobResult, readings: list[Reading], facts: dict[str, str]
) -> None:
    """Any text and any number: after fitting, home takes the report, and it is the one that was sent."""
    report = replace(
        SMALL,
        checks=[fit.check_state(check)],
        events=[fit.event(event)],
        jobs=[fit.job_result(job)],
        readings=fit.readings(readings),
        facts=fit.facts(facts),
    )
    assert codec.decode(codec.encode(report)) == report


any_count = st.integers(-5, 1 << 60)
any_counts = st.lists(st.builds(LogCount, anything, any_count), max_size=12)
any_shapes = st.lists(st.builds(LogShape, shape=anything, count=any_count, level=st.just("error")), max_size=12)


@settings(max_examples=30)
@given(
    st.builds(
        LogSummary,
        day=st.dates().map(str),
        since=numbers,
        until=numbers,
        lines=any_count,
        unreadable=any_count,
        levels=st.just({"error": 1 << 60}),
        shapes=any_shapes,
        new_shapes=any_shapes,
        new=any_count,
        failed_logins=any_count,
        logins=st.lists(st.builds(LogLogin, address=anything, attempts=any_count, names=st.lists(anything))),
        access=st.builds(
            LogAccess,
            requests=any_count,
            bytes=any_count,
            classes=st.dictionaries(anything, any_count, max_size=12),
            paths=any_counts,
            failed=any_counts,
            addresses=any_counts,
        ),
    )
)
def test_any_day_of_logs_is_made_to_fit(summary: LogSummary) -> None:
    """Whatever a log held."""
    report = replace(SMALL, logs=[fit.log_summary(summary)])
    assert codec.decode(codec.encode(report)) == report


any_moment = st.none() | numbers


@settings(max_examples=30)
@given(
    st.builds(
        BackupRun,
        job=anything,
        source=anything,
        repository=anything,
        started=numbers,
        finished=numbers,
        outcome=st.just("done"),
        snapshot=anything,
        files=any_count,
        bytes=any_count,
        bytes_read=any_count,
        bytes_added=any_count,
        errors=any_count,
        message=anything,
        copies=st.lists(
            st.builds(
                BackupCopy, repository=anything, outcome=st.just("failed"), snapshot=anything, message=anything
            ),
            max_size=limits.MAX_COPIES + 2,
        ),
        next=any_moment,
        last_success=any_moment,
        last_verified=any_moment,
    ),
    st.builds(
        Drill,
        name=anything,
        job=anything,
        kind=st.just("full"),
        repository=anything,
        started=numbers,
        finished=numbers,
        outcome=st.just("failed"),
        snapshot=anything,
        snapshot_time=any_moment,
        files=any_count,
        bytes=any_count,
        total_bytes=any_count,
        differing=any_count,
        recovery_point=any_moment,
        recovery_time=any_moment,
        rpo=any_moment,
        rto=any_moment,
        message=anything,
        next=any_moment,
    ),
)
def test_any_backup_and_any_drill_is_made_to_fit(run: BackupRun, drill: Drill) -> None:
    """Whatever files are called and clocks say."""
    report = replace(SMALL, backups=[fit.backup_run(run)], drills=[fit.drill(drill)])
    assert codec.decode(codec.encode(report)) == report


@settings(max_examples=30)
@given(
    st.lists(st.builds(Package, anything, anything, anything, st.booleans()), max_size=4),
    st.none() | st.lists(st.builds(PendingUpdate, anything, anything, anything, st.booleans(), numbers), max_size=4),
    any_count,
)
def test_any_packages_are_made_to_fit(
    installed: list[Package], pending: list[PendingUpdate] | None, left_out: int
) -> None:
    """Whatever a manager says they are called."""
    found = Packages(manager="dnf", installed=installed, pending=pending, left_out=left_out)
    report = replace(SMALL, packages=fit.packages(found))
    assert codec.decode(codec.encode(report)) == report


def test_three_thousand_packages_fit_and_of_more_those_that_nobody_asked_for_are_left_out() -> None:
    """With those that somebody did a host is built again; how many there are is told."""

    def many(count: int) -> Packages:
        installed = [
            Package(f"libsomething-long{i}-dev", f"1:2.{i}-1+deb12u1", "amd64", i % 9 == 0) for i in range(count)
        ]
        pending = [
            PendingUpdate(f"libsomething-long{i}-dev", "1:2.0-1", "1:2.0-1+deb12u1", i % 3 == 0, 1.7e9)
            for i in range(count // 4)
        ]
        return Packages(manager="apt", installed=installed, pending=pending)

    fitted = fit.packages(many(3000))
    assert (len(fitted.installed), fitted.left_out, len(fitted.pending or ()), fitted.pending_left_out) == (
        *(3000, 0),
        *(750, 0),
    )
    fitted = fit.packages(many(12_000))
    assert sum(each.manual for each in fitted.installed) == 12_000 // 9 + 1
    assert len(fitted.installed) + fitted.left_out == 12_000
    assert len(fitted.pending or ()) + fitted.pending_left_out == 3000
    assert len([each for each in fitted.pending or () if not each.security]) == 0
    assert len(msgspec.json.encode(fitted)) <= limits.MAX_PACKAGES_SIZE


def test_what_is_no_id_of_a_snapshot_is_none() -> None:
    """Home would refuse the report for it."""
    run = fit.backup_run(replace(fitting.BACKUPS.backups[0], snapshot="5d5d5d5d"))
    assert run.snapshot == ""


@given(fitting.reports)
def test_what_fits_is_left_as_it_is(report: Any) -> None:
    """Fitting changes nothing that home would take."""
    assert [fit.check_state(check) for check in report.checks] == report.checks
    assert [fit.event(event) for event in report.events] == report.events
    assert [fit.job_result(job) for job in report.jobs] == report.jobs
    assert fit.readings(report.readings) == report.readings
    assert [fit.log_summary(summary) for summary in report.logs] == report.logs
    assert [fit.backup_run(run) for run in report.backups] == report.backups
    assert [fit.drill(drill) for drill in report.drills] == report.drills
    assert report.packages is None or fit.packages(report.packages) == report.packages
    assert report.facts is None or fit.facts(report.facts) == report.facts


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_left_out(value: float) -> None:
    """JSON cannot carry it, and a chart cannot show it."""
    kept = FULL.readings[0]
    assert fit.readings([kept, Reading("c", "n", value), kept]) == [kept, kept]


def test_a_cut_shows() -> None:
    assert fit.text("abcdef", 4) == "abc…"
    assert fit.text("abcd", 4) == "abcd"


def test_a_name_keeps_its_letters() -> None:
    assert fit.name("größe of /srv") == "gr__e_of_/srv"
    assert fit.name("") == "_"
    assert fit.title(" Büro\x1b 1 ") == "Büro_ 1"
    assert fit.title("web  \t 1") == "web _ 1"
    assert fit.title("\n") == "_"
