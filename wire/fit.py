"""What a host measured, made to fit the limits: text is cut, odd letters become `_`, what is no number is left out.

The reader refuses for good what does not fit, so whatever is stored to be sent goes through here first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec.structs import replace

from wire import limits
from wire.report import CheckState, Event, JobResult, LogAccess, LogCount, LogLogin, LogShape, LogSummary, Reading

_ODD_IN_NAME = re.compile(r"[^A-Za-z0-9_.:@/-]|^[^A-Za-z0-9_]")
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


def _between(value: float, highest: float) -> float:
    return min(max(value, 0.0), highest) if not math.isnan(value) else 0.0
