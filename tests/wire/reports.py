"""Reports to test with: one of every field, and what hypothesis makes of the types."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from wire import limits
from wire.packages import Package, Packages, PendingUpdate
from wire.report import (
    STATES,
    BackupCopy,
    BackupRun,
    CheckState,
    Drill,
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

BACKUPS = replace(
    FULL,
    backups=[
        BackupRun(
            job="shop",
            source="postgresql",
            repository="rest:https://home.example:8443/backup/web-1/",
            started=1699999000.0,
            finished=1699999420.5,
            outcome="partial",
            snapshot="5d" * 32,
            files=81234,
            bytes=73014444032,
            bytes_read=1073741824,
            bytes_added=268435456,
            errors=2,
            verified=True,
            message="/srv/größe: permission denied",
            copies=[
                BackupCopy(repository="/mnt/disk", outcome="done", snapshot="c0" * 32, message="already there"),
                BackupCopy(repository="s3:https://s3.example/second", outcome="failed", message="no such bucket"),
            ],
            next=1700085400.0,
            last_success=1699912600.0,
            last_verified=1699912000.0,
        ),
        BackupRun(job="web", source="files", repository="/r", started=0.0, finished=1.0, outcome="failed"),
    ],
    drills=[
        Drill(
            name="shop-quarterly",
            job="shop",
            kind="sample",
            repository="rest:https://home.example:8443/backup/web-1/",
            started=1699999500.0,
            finished=1699999620.0,
            outcome="failed",
            snapshot="5d" * 32,
            snapshot_time=1699999000.0,
            files=4000,
            bytes=3000000000,
            total_bytes=73014444032,
            differing=1,
            recovery_point=500.0,
            recovery_time=2920.0,
            estimated=True,
            rpo=3600.0,
            rto=14400.0,
            assertion="failed",
            message="1 file differs: /srv/größe",
            next=1707000000.0,
        ),
        Drill(name="d", job="web", kind="full", repository="/r", started=0.0, finished=1.0, outcome="done"),
    ],
)
"""FULL with the runs of backups and drills that came to version 1 after that."""

PACKAGES = replace(
    FULL,
    packages=Packages(
        manager="apt",
        installed=[
            Package("libstdc++6", "12.2.0-14", "amd64"),
            Package("nginx", "1.22.1-9", "amd64", manual=True),
        ],
        left_out=3,
        pending=[PendingUpdate("libstdc++6", "12.2.0-14", "12.2.0-14+deb12u1", True, 1699999999.0)],
        pending_left_out=1,
    ),
)
"""FULL with the packages that came to version 1 last."""

SMALL = Report(host="h", epoch="e", sequence=1, boot="b", agent="0.1.0", time=0.0, interval=1.0)
"""Nothing but what must be there."""

ids = st.from_regex(limits.ID, fullmatch=True).filter(lambda text: len(text) <= limits.MAX_ID)
package_names = st.from_regex(limits.PACKAGE, fullmatch=True).filter(lambda text: len(text) <= limits.MAX_NAME)
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
snapshots = st.just("") | st.from_regex(limits.SNAPSHOT, fullmatch=True)
backups = st.builds(
    BackupRun,
    job=names,
    source=names,
    repository=values,
    started=times,
    finished=times,
    outcome=st.sampled_from(["done", "partial", "failed"]),
    snapshot=snapshots,
    files=counts,
    bytes=counts,
    bytes_read=counts,
    bytes_added=counts,
    errors=counts,
    verified=st.booleans(),
    message=messages,
    copies=st.lists(
        st.builds(
            BackupCopy,
            repository=values,
            outcome=st.sampled_from(["done", "failed"]),
            snapshot=snapshots,
            message=messages,
        ),
        max_size=2,
    ),
    next=st.none() | times,
    last_success=st.none() | times,
    last_verified=st.none() | times,
)
drills = st.builds(
    Drill,
    name=names,
    job=names,
    kind=st.sampled_from(["sample", "full", "database"]),
    repository=values,
    started=times,
    finished=times,
    outcome=st.sampled_from(["done", "failed"]),
    snapshot=snapshots,
    snapshot_time=st.none() | times,
    files=counts,
    bytes=counts,
    total_bytes=counts,
    differing=counts,
    recovery_point=st.none() | spans,
    recovery_time=st.none() | spans,
    estimated=st.booleans(),
    rpo=st.none() | spans,
    rto=st.none() | spans,
    assertion=st.sampled_from(["", "held", "failed"]),
    message=messages,
    next=st.none() | times,
)
packages = st.builds(
    Packages,
    manager=st.sampled_from(["apt", "dnf"]),
    installed=st.lists(
        st.builds(Package, name=package_names, version=values, architecture=st.just("amd64"), manual=st.booleans()),
        max_size=2,
        unique_by=lambda each: each.name,
    ).map(lambda found: sorted(found, key=lambda each: each.name)),
    left_out=counts,
    pending=st.none()
    | st.lists(
        st.builds(
            PendingUpdate, name=package_names, installed=values, candidate=values, security=st.booleans(), since=times
        ),
        max_size=2,
        unique_by=lambda each: each.name,
    ).map(lambda found: sorted(found, key=lambda each: (not each.security, each.name))),
    pending_left_out=counts,
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
    backups=st.lists(backups, max_size=2),
    drills=st.lists(drills, max_size=2),
    packages=st.none() | packages,
)
