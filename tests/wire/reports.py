"""Reports to test with: one of every field, and what hypothesis makes of the types."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from wire import limits
from wire.report import (
    STATES,
    CheckState,
    Event,
    Gap,
    JobResult,
    LogAccess,
    LogCount,
    LogLogin,
    LogShape,
    LogSummary,
    Reading,
    Report,
)

FULL = Report(
    version=1,
    host="58943e74b9bbfed0",
    epoch="6951b38736523efacaf885726232d887",
    sequence=42,
    boot="c2b8f4a1-6d1f-4c52-9a3e-0a8b8e1b7c55",
    agent="0.1.0",
    time=1700000000.25,
    interval=15.0,
    facts={"os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0-18-amd64", "cpus": "2"},
    checks=[
        CheckState(
            name="disk",
            kind="disk",
            state="warning",
            message="/srv/größe 83 % used",
            since=1699990000.0,
            time=1700000000.0,
            duration=0.0021,
            interval=15.0,
        ),
        CheckState(name="backup.web", kind="command", state="unknown", message="", since=0.0, time=0.0),
    ],
    readings=[
        Reading(
            "disk", "disk_used_percent", 83.5, "percent", {"mount": "/srv/größe", "fstype": "ext4"}, 1700000000.0
        ),
        Reading("memory", "memory_used_bytes", 4294967296.0, "bytes"),
        Reading("cpu", "load_average", -0.0, "", {"window": "1m"}),
    ],
    jobs=[
        JobResult(
            name="backup",
            started=1699999000.0,
            finished=1699999060.5,
            outcome="failed",
            exit_code=3,
            message="3 files could not be read",
            cpu=12.5,
            peak_memory=104857600,
        ),
        JobResult(name="scrub", started=1699999000.0, finished=1699999001.0, outcome="killed"),
    ],
    events=[
        Event(time=1699999999.0, kind="agent.started", message="0.1.0"),
        Event(time=1699999999.5, kind="check.changed", message="disk: ok → warning", state="warning", check="disk"),
    ],
    gaps=[
        Gap(
            reason="size",
            since=1699900000.0,
            until=1699910000.0,
            readings=90000,
            events=2,
            job_results=1,
            reports=1000,
        ),
        Gap(reason="disk_full", since=1699910000.0, until=1699910010.0, readings=90),
    ],
)
"""Every field of version 1 with a value that is not its default."""

LOGS = replace(
    FULL,
    logs=[
        LogSummary(
            day="2023-11-14",
            since=1699916400.0,
            until=1700002800.0,
            lines=123456,
            unreadable=1,
            levels={"error": 12, "info": 123444},
            shapes=[LogShape(shape="app: größe <n>", count=99, level="info")],
            new_shapes=[LogShape(shape='disk "<text>" lost', count=1, level="error")],
            new=3,
            failed_logins=7,
            logins=[LogLogin(address="2001:db8::1", attempts=7, names=["root", "admin"])],
            access=LogAccess(
                requests=1000,
                bytes=5000000000,
                classes={"2xx": 990, "5xx": 10},
                paths=[LogCount("/", 900)],
                failed=[LogCount("/x", 10)],
                addresses=[LogCount("10.0.0.1", 800)],
            ),
        )
    ],
)
"""FULL with the days of logs that came to version 1 later."""

SMALL = Report(host="h", epoch="e", sequence=1, boot="b", agent="0.1.0", time=0.0, interval=1.0)
"""Nothing but what must be there."""

ids = st.from_regex(limits.ID, fullmatch=True).filter(lambda text: len(text) <= limits.MAX_ID)
names = st.from_regex(limits.NAME, fullmatch=True).filter(lambda text: len(text) <= limits.MAX_NAME)
measurements = st.from_regex(limits.MEASUREMENT, fullmatch=True).filter(lambda text: len(text) <= limits.MAX_NAME)
label_names = st.from_regex(limits.LABEL, fullmatch=True).filter(lambda text: len(text) <= limits.MAX_LABEL_NAME)
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
values = st.text(letters, max_size=40)
messages = st.text(letters, max_size=80)
times = st.floats(0, limits.MAX_TIME)
spans = st.floats(0, limits.MAX_SPAN)
states = st.sampled_from(STATES)
counts = st.integers(0, limits.MAX_COUNT)

readings = st.builds(
    Reading,
    check=names,
    name=measurements,
    value=st.floats(allow_nan=False, allow_infinity=False),
    unit=st.text(letters, max_size=8),
    labels=st.dictionaries(label_names, values, max_size=3),
    time=times,
)
checks = st.builds(
    CheckState,
    name=names,
    kind=names,
    state=states,
    message=messages,
    since=times,
    time=times,
    duration=spans,
    interval=spans,
)
events = st.builds(Event, time=times, kind=names, message=messages, state=states, check=st.just("") | names)
jobs = st.builds(
    JobResult,
    name=names,
    started=times,
    finished=times,
    outcome=st.sampled_from(["done", "failed", "timed_out", "killed", "lost"]),
    exit_code=st.none() | st.integers(-255, 255),
    message=messages,
    cpu=spans,
    peak_memory=counts,
)
gaps = st.builds(
    Gap,
    reason=st.sampled_from(["size", "age", "refused", "disk_full", "corrupt"]),
    since=times,
    until=times,
    readings=counts,
    events=counts,
    job_results=counts,
    reports=counts,
)
shapes = st.lists(
    st.builds(
        LogShape,
        shape=st.text(letters, max_size=40),
        count=counts,
        level=st.sampled_from(["emergency", "error", "warning", "debug"]),
    ),
    max_size=2,
)
named = st.lists(st.builds(LogCount, name=values, count=counts), max_size=2)
logs = st.builds(
    LogSummary,
    day=st.dates().map(str),
    since=times,
    until=times,
    lines=counts,
    unreadable=counts,
    levels=st.dictionaries(st.sampled_from(["critical", "info"]), counts),
    shapes=shapes,
    new_shapes=shapes,
    new=st.none() | counts,
    failed_logins=counts,
    logins=st.lists(
        st.builds(LogLogin, address=values, attempts=counts, names=st.lists(values, max_size=2)), max_size=2
    ),
    access=st.none()
    | st.builds(
        LogAccess,
        requests=counts,
        bytes=counts,
        classes=st.dictionaries(st.sampled_from(["2xx", "5xx"]), counts),
        paths=named,
        failed=named,
        addresses=named,
    ),
)
reports = st.builds(
    Report,
    version=st.just(1),
    host=ids,
    epoch=ids,
    sequence=st.integers(1, limits.MAX_COUNT),
    boot=ids,
    agent=ids,
    time=times,
    interval=st.floats(0.1, limits.MAX_SPAN),
    facts=st.none() | st.dictionaries(names, values, max_size=3),
    checks=st.lists(checks, max_size=3, unique_by=lambda check: check.name),
    readings=st.lists(readings, max_size=4),
    jobs=st.lists(jobs, max_size=2),
    events=st.lists(events, max_size=2),
    gaps=st.lists(gaps, max_size=2),
    logs=st.lists(logs, max_size=2),
)
