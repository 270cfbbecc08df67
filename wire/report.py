"""The report that an agent sends home: plain data, versioned.

All times are seconds since the epoch, UTC, by the sender's clock. A reader ignores fields it does not know, so
a field may be added within a version; a version grows when an old reader would misunderstand.
"""

from __future__ import annotations

from typing import Literal

import msgspec

VERSION = 1

State = Literal["ok", "warning", "critical", "unknown"]
STATES: tuple[State, ...] = ("ok", "warning", "critical", "unknown")


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """One measured value. `name` is snake_case with its unit at the end, as OpenMetrics has it
    (`disk_used_percent`); `unit` is for people: `percent`, `bytes`, `seconds`, `bytes/s`, `1/s`, or ''."""

    check: str
    name: str
    value: float
    unit: str = ""
    labels: dict[str, str] = {}
    time: float = 0.0


class CheckState(msgspec.Struct, frozen=True, kw_only=True):
    """How a check stands. `since` is when it entered `state`; `time` is when it was last run."""

    name: str
    kind: str
    state: State
    message: str
    since: float
    time: float
    duration: float = 0.0
    """Seconds that the last run took."""
    interval: float = 0.0
    """Seconds between runs; 0 where a timetable rules."""


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job. `outcome` tells how it ended; `exit_code` is there when the job itself chose its end."""

    name: str
    started: float
    finished: float
    outcome: Literal["done", "failed", "timed_out", "killed", "lost"]
    exit_code: int | None = None
    message: str = ""
    cpu: float = 0.0
    """CPU seconds, user and system."""
    peak_memory: int = 0
    """Bytes, the largest resident set."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened once: an agent start, a configuration that was reloaded or refused, a gap."""

    time: float
    kind: str
    """`agent.started`, `agent.stopped`, `config.reloaded`, `config.refused`, `check.changed`, `spool.trimmed`…"""
    message: str
    state: State = "ok"
    check: str = ""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender measured and could not keep: counted, so that a hole at home is known to be one."""

    reason: Literal["size", "age", "refused", "disk_full", "corrupt"]
    since: float
    until: float
    readings: int = 0
    events: int = 0
    job_results: int = 0
    reports: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What happened on a host between two reports.

    (`host`, `epoch`, `sequence`) names a report for ever: `epoch` is a random name of the sender's state
    database, so that numbers which start again after its loss are not taken for repeats.
    """

    version: int = VERSION
    host: str
    epoch: str
    sequence: int
    boot: str
    """The kernel's boot id."""
    agent: str
    """The agent's version."""
    time: float
    """When the report was made."""
    interval: float
    """Seconds until the next one is due."""
    facts: dict[str, str] | None = None
    """What the host is (os, kernel, cpus…): in the first report of a start and when it changed, else None."""
    checks: list[CheckState] = []
    """Every check as it stands now: a name that is missing here is a check that no longer exists."""
    readings: list[Reading] = []
    jobs: list[JobResult] = []
    events: list[Event] = []
    gaps: list[Gap] = []


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Home's answer to a report: data only, nothing that a host would run."""

    version: int = VERSION
    time: float
    """Home's clock, seconds since the epoch: the agent signs with it when its own is wrong."""
    duplicate: bool = False
    interval: float | None = None
    """The interval between reports that home wants, in seconds; None leaves it to the agent."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sends once, with a one-time token, signed with the key that it announces."""

    version: int = VERSION
    token: str
    name: str
    """The host's name as people shall see it."""
    public_key: str
    """Ed25519, raw 32 bytes, base64."""
    agent: str
    facts: dict[str, str] = {}


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """Home's answer to an enrolment."""

    version: int = VERSION
    host: str
    """The host's id, which signs as `keyid` from now on."""
    name: str
    time: float


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal, under the key `error`: one shape for all of home's interfaces."""

    code: str
    message: str
    permanent: bool = True
    """False: the same request may be taken later, so keep it. True: it never will, whatever one waits."""
    time: float | None = None
    """Home's clock, where the refusal is about time."""


class Refusal(msgspec.Struct, frozen=True):
    """`{"error": {"code": …, "message": …}}`"""

    error: Problem
