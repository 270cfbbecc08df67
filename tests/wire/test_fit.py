"""What was measured is made to fit, so that no report is ever refused for what a host happens to be called."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.wire import reports as fitting
from tests.wire.reports import FULL, SMALL
from wire import codec, fit, limits
from wire.report import CheckState, Event, JobResult, LogAccess, LogCount, LogLogin, LogShape, LogSummary, Reading

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


@given(fitting.reports)
def test_what_fits_is_left_as_it_is(report: Any) -> None:
    """Fitting changes nothing that home would take."""
    assert [fit.check_state(check) for check in report.checks] == report.checks
    assert [fit.event(event) for event in report.events] == report.events
    assert [fit.job_result(job) for job in report.jobs] == report.jobs
    assert fit.readings(report.readings) == report.readings
    assert [fit.log_summary(summary) for summary in report.logs] == report.logs
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
