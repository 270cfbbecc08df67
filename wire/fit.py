"""What a host measured, made to fit the limits: text is cut, odd letters become `_`, what is no number is left out.

The reader refuses for good what does not fit, so whatever is stored to be sent goes through here first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from wire import limits
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

_ODD_IN_NAME = re.compile(r"[^A-Za-z0-9_.:@/-]|^[^A-Za-z0-9_]")
_ODD_IN_PACKAGE = re.compile(r"[^A-Za-z0-9_.+~-]|^[^A-Za-z0-9_]")
_ODD_IN_MEASUREMENT = re.compile(r"[^A-Za-z0-9_:]|^[0-9]")
_ODD_IN_LABEL = re.compile(r"[^A-Za-z0-9_]|^[0-9]")


def text(given: str, length: int) -> str:
    """At most `length` characters, all of which can be stored and sent; `…` shows where it was cut."""
    if not given.isascii():
        given = given.encode("utf-8", "replace").decode()  # a lone surrogate, from a file name, becomes "?"
    given = given.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return given if len(given) <= length else given[: length - 1] + "…"


@lru_cache(maxsize=1024)  # a host measures the same few hundred names every time
def name(given: str) -> str:
    """The name of a check, a job, a fact or of a kind of these."""
    return _ODD_IN_NAME.sub("_", given)[: limits.MAX_NAME] or "_"


def title(given: str) -> str:
    """The name of a host: any letters that can be shown, with single spaces between them."""
    shown = "".join(letter if letter.isprintable() else "_" for letter in text(given, limits.MAX_TITLE))
    return " ".join(shown.split()) or "_"


def check_state(state: CheckState) -> CheckState:
    """How a check stands."""
    return replace(
        state,
        name=name(state.name),
        kind=name(state.kind),
        message=text(state.message, limits.MAX_MESSAGE),
        since=_time(state.since),
        time=_time(state.time),
        duration=_between(state.duration, limits.MAX_SPAN),
        interval=_between(state.interval, limits.MAX_SPAN),
    )


def event(given: Event) -> Event:
    """Something that happened."""
    return replace(
        given,
        kind=name(given.kind),
        message=text(given.message, limits.MAX_MESSAGE),
        time=_time(given.time),
        check=name(given.check) if given.check else "",
    )


def job_result(result: JobResult) -> JobResult:
    """A run of a job."""
    return replace(
        result,
        name=name(result.name),
        message=text(result.message, limits.MAX_MESSAGE),
        started=_time(result.started),
        finished=_time(result.finished),
        exit_code=None if result.exit_code is None else min(max(result.exit_code, -255), 255),
        cpu=_between(result.cpu, limits.MAX_TIME),
        peak_memory=min(max(result.peak_memory, 0), limits.MAX_COUNT),
    )


def backup_run(run: BackupRun) -> BackupRun:
    """A run of a backup job."""
    return replace(
        run,
        job=name(run.job),
        source=name(run.source),
        repository=text(run.repository, limits.MAX_VALUE),
        started=_time(run.started),
        finished=_time(run.finished),
        snapshot=_snapshot(run.snapshot),
        files=_count(run.files),
        bytes=_count(run.bytes),
        bytes_read=_count(run.bytes_read),
        bytes_added=_count(run.bytes_added),
        errors=_count(run.errors),
        message=text(run.message, limits.MAX_MESSAGE),
        copies=[_backup_copy(copy) for copy in run.copies[: limits.MAX_COPIES]],
        next=_moment(run.next),
        last_success=_moment(run.last_success),
        last_verified=_moment(run.last_verified),
    )


def drill(given: Drill) -> Drill:
    """A restore that was tried."""
    return replace(
        given,
        name=name(given.name),
        job=name(given.job),
        repository=text(given.repository, limits.MAX_VALUE),
        started=_time(given.started),
        finished=_time(given.finished),
        snapshot=_snapshot(given.snapshot),
        snapshot_time=_moment(given.snapshot_time),
        files=_count(given.files),
        bytes=_count(given.bytes),
        total_bytes=_count(given.total_bytes),
        differing=_count(given.differing),
        recovery_point=_span(given.recovery_point),
        recovery_time=_span(given.recovery_time),
        rpo=_span(given.rpo),
        rto=_span(given.rto),
        message=text(given.message, limits.MAX_MESSAGE),
        next=_moment(given.next),
    )


def _backup_copy(copy: BackupCopy) -> BackupCopy:
    return replace(
        copy,
        repository=text(copy.repository, limits.MAX_VALUE),
        snapshot=_snapshot(copy.snapshot),
        message=text(copy.message, limits.MAX_MESSAGE),
    )


def _snapshot(given: str) -> str:
    return given if limits.SNAPSHOT.fullmatch(given) else ""


def log_summary(given: LogSummary) -> LogSummary:
    """What logs say of a day."""
    return replace(
        given,
        since=_time(given.since),
        until=_time(given.until),
        lines=_count(given.lines),
        unreadable=_count(given.unreadable),
        levels={level: _count(count) for level, count in given.levels.items()},
        shapes=_log_shapes(given.shapes),
        new_shapes=_log_shapes(given.new_shapes),
        new=None if given.new is None else _count(given.new),
        failed_logins=_count(given.failed_logins),
        logins=[
            LogLogin(
                address=text(login.address, limits.MAX_VALUE),
                attempts=_count(login.attempts),
                names=[text(each, limits.MAX_VALUE) for each in login.names[: limits.MAX_SHAPES]],
            )
            for login in given.logins[: limits.MAX_SHAPES]
        ],
        access=None if given.access is None else _log_access(given.access),
    )


def _log_shapes(given: list[LogShape]) -> list[LogShape]:
    return [
        replace(shape, shape=text(shape.shape, limits.MAX_SHAPE), count=_count(shape.count))
        for shape in given[: limits.MAX_SHAPES]
    ]


def _log_access(given: LogAccess) -> LogAccess:
    return LogAccess(
        requests=_count(given.requests),
        bytes=_count(given.bytes),
        classes={name: _count(count) for name, count in list(given.classes.items())[:10] if len(name) == 3},
        paths=_log_counts(given.paths),
        failed=_log_counts(given.failed),
        addresses=_log_counts(given.addresses),
    )


def _log_counts(given: list[LogCount]) -> list[LogCount]:
    return [LogCount(text(each.name, limits.MAX_VALUE), _count(each.count)) for each in given[: limits.MAX_SHAPES]]


def readings(given: Iterable[Reading]) -> list[Reading]:
    """Those readings whose values are finite numbers."""
    return [_reading(reading) for reading in given if math.isfinite(reading.value)]


def facts(given: Mapping[str, str]) -> dict[str, str]:
    """What the host is."""
    fitting = {name(key): text(value, limits.MAX_VALUE) for key, value in given.items()}
    return dict(list(fitting.items())[: limits.MAX_FACTS])


def packages(given: Packages) -> Packages:
    """A host's packages within the limits, in JSON's bytes too: those that others brought along go first, then
    updates that are not for security, both from the end of the alphabet."""
    installed = [_package(each) for each in given.installed]
    pending = None
    if given.pending is not None:
        pending = sorted(map(_pending, given.pending), key=lambda each: (not each.security, each.name))
    # What is asked for and what is for security comes first, and what is behind the bounds is left out.
    wanted = sorted(installed, key=lambda each: (not each.manual, each.name))
    room = limits.MAX_PACKAGES_SIZE - 1000
    urgent = pending[: limits.MAX_PENDING] if pending else []
    few = _within(urgent, room // 4)
    kept = _within(wanted[: limits.MAX_PACKAGES], room - sum(map(_size, few)))
    return replace(
        given,
        installed=sorted(kept, key=lambda each: (each.name, each.architecture)),
        left_out=_count(given.left_out + len(installed) - len(kept)),
        pending=None if pending is None else few,
        pending_left_out=_count(given.pending_left_out + len(pending or ()) - len(few)),
    )


P = TypeVar("P", Package, PendingUpdate)


def _within(given: list[P], room: int) -> list[P]:
    """As many of them, from the first on, as `room` bytes of JSON hold."""
    for index, each in enumerate(given):
        room -= _size(each)
        if room < 0:
            return given[:index]
    return given


def _size(given: Package | PendingUpdate) -> int:
    return len(msgspec.json.encode(given)) + 1


def _package(given: Package) -> Package:
    return Package(
        _package_name(given.name),
        text(given.version, limits.MAX_VALUE),
        text(given.architecture, limits.MAX_UNIT),
        given.manual,
    )


def _pending(given: PendingUpdate) -> PendingUpdate:
    return PendingUpdate(
        _package_name(given.name),
        text(given.installed, limits.MAX_VALUE),
        text(given.candidate, limits.MAX_VALUE),
        given.security,
        _time(given.since),
    )


def _package_name(given: str) -> str:
    """Without a memory of them, as there are thousands."""
    return _ODD_IN_PACKAGE.sub("_", given)[: limits.MAX_NAME] or "_"


def _reading(reading: Reading) -> Reading:
    return Reading(
        name(reading.check),
        _measurement(reading.name),
        reading.value,
        text(reading.unit, limits.MAX_UNIT),
        {
            _label(key): text(value, limits.MAX_VALUE)
            for key, value in list(reading.labels.items())[: limits.MAX_LABELS]
        },
        _time(reading.time),
    )


@lru_cache(maxsize=1024)
def _measurement(given: str) -> str:
    return _ODD_IN_MEASUREMENT.sub("_", given)[: limits.MAX_NAME] or "_"


@lru_cache(maxsize=1024)
def _label(given: str) -> str:
    return _ODD_IN_LABEL.sub("_", given)[: limits.MAX_LABEL_NAME] or "_"


def _count(given: int) -> int:
    return min(max(given, 0), limits.MAX_COUNT)


def _time(seconds: float) -> float:
    return _between(seconds, limits.MAX_TIME)


def _moment(seconds: float | None) -> float | None:
    return None if seconds is None else _time(seconds)


def _span(seconds: float | None) -> float | None:
    return None if seconds is None else _between(seconds, limits.MAX_SPAN)


def _between(value: float, highest: float) -> float:
    return min(max(value, 0.0), highest) if not math.isnan(value) else 0.0
