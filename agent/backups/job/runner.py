"""One run of a job: its steps in their order, and what the failure of each means for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from agent.backups.job.hooks import run_hook
from agent.backups.job.limits import TimeIsUpError, ended_after
from agent.config.backups import BackupOptions
from agent.config.repositories import CopyOptions
from kit.errors import HostwardError
from kit.units import format_duration, format_size
from wire.report import BackupCopy, BackupRun


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving did."""

    snapshot: str = ""
    """Its id; '' where there was nothing to save, or nothing had changed and none was wanted then."""
    files: int = 0
    bytes: int = 0
    bytes_read: int = 0
    bytes_added: int = 0
    errors: int = 0
    """Paths that are not in it as they should be."""
    problem: str = ""
    """The first of them, and why."""


class Steps(Protocol):
    """What a run does with repositories. Each raises HostwardError or OSError where it failed."""

    def prepare(self) -> None:
        """Wait for its turn, and take no more of the host than it may."""

    def save(self) -> Saved:
        """Make the snapshot."""

    def verify(self) -> None:
        """Read back what was stored."""

    def keep(self) -> None:
        """Remove what the rules do not keep."""

    def copy(self, place: CopyOptions) -> str:
        """Copy into one more repository; the snapshot's id there."""

    def keep_copy(self, place: CopyOptions) -> None:
        """Remove there what its rules do not keep."""


Hook = Callable[..., str]
"""As agent.backups.job.hooks.run_hook."""


@dataclass(slots=True)
class Course:
    """How a run goes."""

    saved: Saved | None = None
    verified: bool = False
    failure: str = ""
    """Why it failed."""
    error: HostwardError | OSError | None = None
    """The same, where an error says it."""
    lacks: list[str] = field(default_factory=list)
    """What makes it partial."""
    whole: bool = True
    """Whether what it saved, if it saved anything, is all that it should hold."""
    copies: list[BackupCopy] = field(default_factory=list)

    @property
    def outcome(self) -> Literal["done", "partial", "failed"]:
        """As wire.report.BackupRun has it."""
        return "failed" if self.failure else "partial" if self.lacks else "done"

    @property
    def message(self) -> str:
        """For people."""
        return "; ".join([self.failure] * bool(self.failure) + self.lacks)


def run_steps(
    job: BackupOptions,
    name: str,
    steps: Steps,
    tell: Callable[[str], None],
    *,
    hook: Hook = run_hook,
) -> tuple[Course, BaseException | None]:
    """Do all that the job's table says. Never raises what a step raises.

    What ended the run from outside (a signal), and a fault of the program itself, comes back beside how far it was,
    for the caller to raise when all is on record.
    """
    course = Course()
    end: BaseException | None = None
    told = {"HOSTWARD_JOB": name, "HOSTWARD_SOURCE": job.source}
    try:
        with ended_after(job.timeout):
            _go(job, steps, course, tell, hook, told)
    except TimeIsUpError:
        course.failure = f"stopped at its time limit of {format_duration(job.timeout)}"
    except KeyboardInterrupt as error:
        course.failure, end = f"ended by {str(error) or 'SIGINT'}", error
    except MemoryError:
        limit = f" (its limit is {format_size(job.memory_max)})" if job.memory_max is not None else ""
        course.failure = f"out of memory{limit}"
    except (HostwardError, OSError) as error:
        course.failure, course.error = _said(error), error
    except Exception as error:  # a mistake of ours: `after` and the record come first, and the caller raises it
        course.failure, end = f"a fault in hostward: {type(error).__name__}: {error}", error
    try:
        _after(job, course, tell, hook, told)
    except KeyboardInterrupt as error:
        course.lacks.append(f"after it: ended by {str(error) or 'SIGINT'}")
        end = error
    return course, end


def _go(
    job: BackupOptions,
    steps: Steps,
    course: Course,
    tell: Callable[[str], None],
    hook: Hook,
    told: Mapping[str, str],
) -> None:
    steps.prepare()
    for before in job.before:
        why = hook(before.command, timeout=float(before.timeout), environment=told)
        if why and before.on_failure == "stop":
            raise HostwardError(f"before it: {why}; nothing was saved")
        if why:
            tell(f"before it: {why}")
        if why and before.on_failure == "continue":
            course.lacks.append(f"before it: {why}")
            course.whole = False
    course.saved = saved = steps.save()
    if saved.errors:
        course.whole = False
        others = f", and {saved.errors - 1} more" if saved.errors > 1 else ""
        course.lacks.append(f"{saved.problem}{others}")
    if job.verify is not False:
        steps.verify()
        course.verified = True
    if job.keep is not None:
        _try(steps.keep, "what is to go could not be removed", course, tell)
    for place in job.copies:
        course.copies.append(copied := _copy(steps, place, course, tell))
        if place.keep is not None and copied.outcome == "done":
            what = f"what is to go from {place.repository} could not be removed"
            _try(partial(steps.keep_copy, place), what, course, tell)


def _copy(steps: Steps, place: CopyOptions, course: Course, tell: Callable[[str], None]) -> BackupCopy:
    ids: list[str] = []
    why = _try(lambda: ids.append(steps.copy(place)), f"it could not be copied to {place.repository}", course, tell)
    return BackupCopy(
        repository=place.repository, outcome="failed" if why else "done", snapshot="".join(ids), message=why
    )


def _try(step: Callable[[], None], what: str, course: Course, tell: Callable[[str], None]) -> str:
    try:
        step()
    except (HostwardError, OSError) as error:
        why = _said(error)
        course.lacks.append(f"{what}: {why}")
        tell(f"{what}: {why}")
        return why
    return ""


def _after(
    job: BackupOptions, course: Course, tell: Callable[[str], None], hook: Hook, told: Mapping[str, str]
) -> None:
    did_well = "failure" if course.failure else "success"
    for after in job.after:
        if after.when not in ("always", did_well):
            continue
        environment = {
            **told,
            "HOSTWARD_OUTCOME": course.outcome,
            "HOSTWARD_SNAPSHOT": course.saved.snapshot if course.saved else "",
        }
        why = hook(after.command, timeout=float(after.timeout), environment=environment)
        if why:
            tell(f"after it: {why}")
        if why and after.on_failure == "partial":
            course.lacks.append(f"after it: {why}")


def _said(error: HostwardError | OSError) -> str:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)


def record_of(
    job: BackupOptions, name: str, course: Course, *, repository: str, started: float, finished: float
) -> BackupRun:
    """What goes on record of it, but for the ages of successes."""
    saved = course.saved or Saved()
    return BackupRun(
        job=name,
        source=job.source,
        repository=repository,
        started=started,
        finished=finished,
        outcome=course.outcome,
        snapshot=saved.snapshot,
        files=saved.files,
        bytes=saved.bytes,
        bytes_read=saved.bytes_read,
        bytes_added=saved.bytes_added,
        errors=saved.errors,
        verified=course.verified,
        message=course.message,
        copies=course.copies,
    )
