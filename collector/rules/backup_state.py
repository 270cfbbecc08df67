"""How well a host's data would come back: what is wrong with a job or a drill, worst first, at one moment.

`now` is always what the host's clock says, as all times of a standing are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from collector.rules.backups import DAY, DrillStanding, JobStanding
from kit.units import format_duration
from wire.report import SEVERITY, State

GRACE = 900.0
"""Seconds that a job may be late without a word, besides the time that it takes: it may have waited for another."""
DRILL_GRACE = 3600.0
UNVERIFIED = 35 * DAY
"""Seconds after which what was never read back is a warning, where home is told no other time: a month, as most
verify, and some days."""

Code = Literal[
    "no_backup",
    "failed",
    "partial",
    "overdue",
    "silent",
    "no_success",
    "point_missed",
    "unverified",
    "no_job",
    "drill_failed",
    "drill_overdue",
    "drill_untried",
    "drill_point_missed",
    "drill_time_missed",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that is wrong."""

    code: Code
    state: State
    text: str
    """In words, without the time."""
    time: float | None = None
    """The moment that the text ends with, such as when the job was due; by the host's clock."""


NO_BACKUP = Finding(code="no_backup", state="unknown", text="No backup of this host was ever reported.")


def judge(
    job: JobStanding | None,
    drills: Sequence[tuple[str, DrillStanding]],
    *,
    now: float,
    quiet: bool,
    unverified: float = UNVERIFIED,
) -> list[Finding]:
    """What is wrong with a job and its drills, the worst first. `quiet` says that the host is down; `unverified` is
    how many seconds a job may go without being verified.

    `job` is None where drills tell of a job of which no run was ever reported.
    """
    found: list[Finding] = []
    if job is None:
        found.append(Finding(code="no_job", state="unknown", text="No run of this job was ever reported."))
    else:
        found += _job(job, point_target(drills), now=now, quiet=quiet, unverified=unverified)
    for name, drill in drills:
        found += judge_drill(name, drill, now=now)
    return sorted(found, key=lambda finding: -SEVERITY.index(finding.state))


def worst(findings: Iterable[Finding]) -> State:
    """The state of what these are about."""
    return max((finding.state for finding in findings), key=SEVERITY.index, default="ok")


def point_target(drills: Sequence[tuple[str, DrillStanding]]) -> float | None:
    """Seconds: the strictest target that a job's drills have for how old what comes back may be."""
    return min((drill.last.rpo for _, drill in drills if drill.last.rpo is not None), default=None)


def overdue(job: JobStanding, now: float) -> float | None:
    """Since when the job should have run again; None where it should not."""
    due = job.last.next
    return None if due is None or now <= due + max(GRACE, 2 * job.took) else due


def drill_overdue(drill: DrillStanding, now: float) -> float | None:
    """Since when the drill should have been tried again; None where it should not."""
    due = drill.last.next
    return None if due is None or now <= due + max(DRILL_GRACE, 2 * drill.took) else due


def recovery_point(job: JobStanding, now: float) -> float | None:
    """Seconds: how old what would come back now is; None where nothing would."""
    return None if job.point is None else max(0.0, now - job.point)


def coarse(seconds: float) -> str:
    """A span of time without what nobody reads: minutes from an hour on, hours from two days on."""
    unit = 3600 if seconds >= 2 * DAY else 60 if seconds >= 3600 else 1
    return format_duration(round(seconds / unit) * unit)


def _job(job: JobStanding, target: float | None, *, now: float, quiet: bool, unverified: float) -> Iterable[Finding]:
    last = job.last
    if last.outcome == "failed":
        yield Finding(code="failed", state="critical", text=_told("The last run failed", last.message))
    elif last.outcome == "partial":
        yield Finding(code="partial", state="warning", text=_told("The last run was not complete", last.message))
    due = overdue(job, now)
    if due is not None:
        # A turn that was missed may be made up for; a second one shows that nobody will.
        again = now - due >= max(due - last.started, GRACE)
        if quiet:
            yield Finding(code="silent", state="critical", text="The host is silent, and was due to run it", time=due)
        else:
            yield Finding(code="overdue", state="critical" if again else "warning", text="Overdue since", time=due)
    point = recovery_point(job, now)
    if point is None:
        if last.outcome == "partial":  # a run that failed says enough
            yield Finding(code="no_success", state="warning", text="No run has saved everything yet.")
    elif target is not None and point > target:
        text = f"What would come back is older than the target of {coarse(target)}: it is as of"
        yield Finding(code="point_missed", state="critical", text=text, time=job.point)
    if job.last_verified is None:
        if now - job.first > unverified:  # by two clocks, but it is about weeks
            yield Finding(code="unverified", state="warning", text="Nothing of it was ever read back to verify it.")
    elif now - job.last_verified > unverified:
        text = "Nothing was read back to verify it since"
        yield Finding(code="unverified", state="warning", text=text, time=job.last_verified)


def judge_drill(name: str, drill: DrillStanding, *, now: float) -> Iterable[Finding]:
    """What is wrong with a drill."""
    last = drill.last
    if last.outcome == "failed":
        yield Finding(code="drill_failed", state="critical", text=_told(f"Drill {name} failed", last.message))
    if (due := drill_overdue(drill, now)) is not None:
        text = f"Drill {name} was not run; it was due"
        yield Finding(code="drill_overdue", state="critical", text=text, time=due)
    if last.rpo is not None and last.recovery_point is not None and last.recovery_point > last.rpo:
        text = (
            f"Drill {name} found what came back {coarse(last.recovery_point)} old; the target is {coarse(last.rpo)}."
        )
        yield Finding(code="drill_point_missed", state="warning", text=text)
    if last.rto is not None and last.recovery_time is not None and last.recovery_time > last.rto:
        about = "about " if last.estimated else ""
        text = (
            f"By drill {name} all of it is back after {about}{coarse(last.recovery_time)}; "
            f"the target is {coarse(last.rto)}."
        )
        yield Finding(code="drill_time_missed", state="critical", text=text)


def judge_untried(name: str, due: float, *, now: float) -> Finding:
    """What is wrong with a drill of which no run is known; `due` is since when one should be, 0.0 for not yet."""
    if due and now > due + DRILL_GRACE:
        text = f"No run of drill {name} was ever reported; it was due"
        return Finding(code="drill_overdue", state="critical", text=text, time=due)
    text = f"No run of drill {name} was ever reported; its time is to come."
    return Finding(code="drill_untried", state="unknown", text=text)


def _told(what: str, message: str) -> str:
    return f"{what}: {message}" if message else f"{what}."
