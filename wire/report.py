"""The report that an agent sends home: plain data, versioned.

All times are seconds since the epoch, UTC, by the sender's clock. A reader ignores fields it does not know, so
a field may be added within a version; a version grows when an old reader would misunderstand.

The bounds in the types hold when a struct is decoded, not when it is made: `wire.fit` makes what a host
measured fit, before it is stored or sent.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wire import limits
from wire.packages import Packages

VERSION = 1

State = Literal["ok", "warning", "critical", "unknown"]
STATES: tuple[State, ...] = ("ok", "warning", "critical", "unknown")
"""In the order of a monitoring plugin's exit codes, 0 to 3."""
SEVERITY: tuple[State, ...] = ("ok", "warning", "unknown", "critical")
"""From good to bad. Not knowing is worse than a warning: the warning at least is known."""

# Lengths and ranges only: msgspec checks these at no cost, while a pattern costs a call for every string. The
# codec looks at the names' letters, once for each distinct name.
Version = Annotated[int, Meta(ge=1, le=limits.MAX_COUNT)]
Id = Annotated[str, Meta(min_length=1, max_length=limits.MAX_ID)]
Name = Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME)]
Title = Annotated[str, Meta(min_length=1, max_length=limits.MAX_TITLE)]
"""A host's name as people see it: printable ASCII (`codec.decode_enrolment`)."""
Message = Annotated[str, Meta(max_length=limits.MAX_MESSAGE)]
Unit = Annotated[str, Meta(max_length=limits.MAX_UNIT)]
LabelName = Annotated[str, Meta(min_length=1, max_length=limits.MAX_LABEL_NAME)]
Value = Annotated[str, Meta(max_length=limits.MAX_VALUE)]
Labels = Annotated[dict[LabelName, Value], Meta(max_length=limits.MAX_LABELS)]
Facts = Annotated[dict[Name, Value], Meta(max_length=limits.MAX_FACTS)]
Time = Annotated[float, Meta(ge=0, le=limits.MAX_TIME)]
Span = Annotated[float, Meta(ge=0, le=limits.MAX_SPAN)]
Interval = Annotated[float, Meta(gt=0, le=limits.MAX_SPAN)]
Count = Annotated[int, Meta(ge=0, le=limits.MAX_COUNT)]


# gc=False: these come in dozens per report and hold nothing that could lead back to them.
class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One measured value. `name` is snake_case with its unit at the end, as OpenMetrics has it
    (`disk_used_percent`); `unit` is for people: `percent`, `bytes`, `seconds`, `bytes/s`, `1/s`, or ''."""

    check: Name
    name: Name
    value: float
    unit: Unit = ""
    labels: Labels = {}
    time: Time = 0.0
    """When it was measured; 0 means at the report's own time."""


class CheckState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a check stands. `since` is when it entered `state`; `time` is when it was last run."""

    name: Name
    kind: Name
    state: State
    message: Message
    since: Time
    time: Time
    duration: Span = 0.0
    """Seconds that the last run took."""
    interval: Span = 0.0
    """Seconds between runs; 0 where a timetable rules."""


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job. `outcome` tells how it ended; `exit_code` is there when the job itself chose its end."""

    name: Name
    started: Time
    finished: Time
    outcome: Literal["done", "failed", "timed_out", "killed", "lost"]
    exit_code: Annotated[int, Meta(ge=-255, le=255)] | None = None
    message: Message = ""
    cpu: Annotated[float, Meta(ge=0, le=limits.MAX_TIME)] = 0.0
    """CPU seconds, user and system."""
    peak_memory: Count = 0
    """Bytes, the largest resident set; 0 where it is not known (a run that did not reach its sender's own size)."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened once: an agent start, a configuration that was reloaded or refused, a gap."""

    time: Time
    kind: Name
    """`agent.started`, `agent.stopped`, `config.reloaded`, `config.refused`, `check.changed`, `spool.trimmed`…"""
    message: Message
    state: State = "ok"
    check: Annotated[str, Meta(max_length=limits.MAX_NAME)] = ""
    """The check that it is about, or ''."""


LogLevel = Literal["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"]
"""As RFC 5424 has them."""
Shape = Annotated[str, Meta(max_length=limits.MAX_SHAPE)]


class LogShape(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Messages that differ in numbers, addresses, quoted text and the like, for which placeholders stand."""

    shape: Shape
    count: Count
    level: LogLevel
    """The worst of them."""


class LogLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Logins that failed from one address; `local` where somebody was at the host."""

    address: Value
    attempts: Count
    names: Annotated[list[Value], Meta(max_length=limits.MAX_SHAPES)] = []
    """Some of those that were tried."""


class LogCount(msgspec.Struct, frozen=True, gc=False):
    """How often something was asked for."""

    name: Value
    count: Count


LogCounts = Annotated[list[LogCount], Meta(max_length=limits.MAX_SHAPES)]


class LogAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What access logs say of a day, by requests; the most frequent first."""

    requests: Count
    bytes: Count
    classes: Annotated[dict[Annotated[str, Meta(min_length=3, max_length=3)], Count], Meta(max_length=10)] = {}
    """`2xx` to requests."""
    paths: LogCounts = []
    failed: LogCounts = []
    """Those with a status of 400 or more."""
    addresses: LogCounts = []


class LogSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the logs of a host say of one day, by its clock and zone."""

    day: Annotated[str, Meta(min_length=10, max_length=10)]
    """`2026-11-22`"""
    since: Time
    until: Time
    lines: Count = 0
    unreadable: Count = 0
    """Logs that could not be read, or only in part."""
    levels: Annotated[dict[LogLevel, Count], Meta(max_length=8)] = {}
    shapes: Annotated[list[LogShape], Meta(max_length=limits.MAX_SHAPES)] = []
    """The most frequent ones."""
    new_shapes: Annotated[list[LogShape], Meta(max_length=limits.MAX_SHAPES)] = []
    """The worst of those that had not come before."""
    new: Count | None = None
    """How many had not; None where nothing is known of the time before."""
    failed_logins: Count = 0
    logins: Annotated[list[LogLogin], Meta(max_length=limits.MAX_SHAPES)] = []
    access: LogAccess | None = None


Snapshot = Annotated[str, Meta(max_length=limits.MAX_ID)]
"""The id of a snapshot in hexadecimal, 64 digits; '' where there is none."""


class BackupCopy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a run's snapshot in one more repository."""

    repository: Value
    outcome: Literal["done", "failed"]
    snapshot: Snapshot = ""
    """Its id there."""
    message: Message = ""


class BackupRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run of a backup job."""

    job: Name
    source: Name
    """`files`, `command`, `postgresql`…"""
    repository: Value
    """Where the snapshot lies, as people see it: without secrets."""
    started: Time
    finished: Time
    outcome: Literal["done", "partial", "failed"]
    """`partial`: the snapshot was made, but something in it could not be read, or a later step failed."""
    snapshot: Snapshot = ""
    """Also '' where nothing had changed and the job wants no snapshot then."""
    files: Count = 0
    """In the snapshot."""
    bytes: Count = 0
    """Of all the snapshot's files."""
    bytes_read: Count = 0
    """Of files that were new or had changed."""
    bytes_added: Count = 0
    """What the repository grew by, compressed and sealed."""
    errors: Count = 0
    """Paths that could not be read as they are."""
    verified: bool = False
    """Whether what this run stored was read back and found whole."""
    message: Message = ""
    copies: Annotated[list[BackupCopy], Meta(max_length=limits.MAX_COPIES)] = []
    next: Time | None = None
    """When the job is due again; None where it has no timetable."""
    last_success: Time | None = None
    """When the last run ended that made a snapshot of all it should hold; this one counts."""
    last_verified: Time | None = None
    """When the last of those began that were verified: what had been there then surely comes back."""


class Drill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One restore that was tried, into a place that is thrown away."""

    name: Name
    job: Name
    """The backup job whose snapshots it restores."""
    kind: Literal["sample", "full", "database"]
    repository: Value
    started: Time
    finished: Time
    outcome: Literal["done", "failed"]
    snapshot: Snapshot = ""
    snapshot_time: Time | None = None
    """When that snapshot was made."""
    files: Count = 0
    """That were restored and compared."""
    bytes: Count = 0
    total_bytes: Count = 0
    """Of the whole snapshot."""
    differing: Count = 0
    """Files that are not what the snapshot says, or not what is still unchanged on the host."""
    recovery_point: Span | None = None
    """Seconds: how old what comes back was when the drill began."""
    recovery_time: Span | None = None
    """Seconds until all of it is back: measured for the whole, or estimated from the sample."""
    estimated: bool = False
    """Whether `recovery_time` is an estimate."""
    rpo: Span | None = None
    """Seconds: the target for `recovery_point`; None where there is none."""
    rto: Span | None = None
    """Seconds: the target for `recovery_time`."""
    assertion: Literal["", "held", "failed"] = ""
    """What the configured command or query said; '' where there is none."""
    message: Message = ""
    next: Time | None = None
    """When it is due again."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender measured and could not keep: counted, so that a hole at home is known to be one."""

    reason: Literal["size", "age", "refused", "disk_full", "corrupt"]
    since: Time
    until: Time
    readings: Count = 0
    events: Count = 0
    """With the summaries of logs, the runs of backup jobs and the drills."""
    job_results: Count = 0
    reports: Count = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What happened on a host between two reports.

    (`host`, `epoch`, `sequence`) names a report for ever: `epoch` is a random name of the sender's state
    database, so that numbers which start again after its loss are not taken for repeats.
    """

    version: Version = VERSION
    host: Id
    epoch: Id
    sequence: Annotated[int, Meta(ge=1, le=limits.MAX_COUNT)]
    boot: Id
    """The kernel's boot id."""
    agent: Id
    """The agent's version."""
    time: Time
    """When the report was made."""
    interval: Interval
    """Seconds until the next one is due."""
    facts: Facts | None = None
    """What the host is (os, kernel, cpus…): in the first report of a start and when it changed, else None."""
    checks: Annotated[list[CheckState], Meta(max_length=limits.MAX_CHECKS)] = []
    """Every check as it stands now: a name that is missing here is a check that no longer exists."""
    readings: Annotated[list[Reading], Meta(max_length=limits.MAX_READINGS)] = []
    jobs: Annotated[list[JobResult], Meta(max_length=limits.MAX_JOBS)] = []
    events: Annotated[list[Event], Meta(max_length=limits.MAX_EVENTS)] = []
    gaps: Annotated[list[Gap], Meta(max_length=limits.MAX_GAPS)] = []
    logs: Annotated[list[LogSummary], Meta(max_length=limits.MAX_LOGS)] = []
    """Days that ended since the report before."""
    backups: Annotated[list[BackupRun], Meta(max_length=limits.MAX_BACKUPS)] = []
    drills: Annotated[list[Drill], Meta(max_length=limits.MAX_DRILLS)] = []
    packages: Packages | None = None
    """What is installed and what is pending: once a start and when it changed, else None."""


class MaintenanceWindow(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody is at work on the host."""

    until: Time
    """By home's clock."""
    reason: Message


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Home's answer to a report: data only, nothing that a host would run."""

    version: Version = VERSION
    time: Time
    """Home's clock, seconds since the epoch: the agent signs with it when its own is wrong."""
    duplicate: bool = False
    interval: Interval | None = None
    """The interval between reports that home wants, in seconds; None leaves it to the agent."""
    window: MaintenanceWindow | None = None
    """The maintenance window that is in force for the host."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sends once, with a one-time token, signed with the key that it announces."""

    version: Version = VERSION
    token: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TOKEN)]
    name: Title
    """The host's name as people shall see it."""
    public_key: Annotated[str, Meta(min_length=44, max_length=44)]
    """Ed25519, raw 32 bytes, base64."""
    agent: Id
    facts: Facts = {}


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """Home's answer to an enrolment."""

    version: Version = VERSION
    host: Id
    """The host's id, which signs as `keyid` from now on."""
    name: Title
    time: Time


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal, under the key `error`: one shape for all of home's interfaces."""

    code: Name
    message: str
    permanent: bool = True
    """False: the same request may be taken later, so keep it. True: it never will, whatever one waits."""
    time: Time | None = None
    """Home's clock, where the refusal is about time."""


class Refusal(msgspec.Struct, frozen=True):
    """`{"error": {"code": …, "message": …}}`"""

    error: Problem
