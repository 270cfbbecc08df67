"""Reports to bytes and back: JSON, compressed with Zstandard (RFC 8878), every size limited.

Whatever bytes come in, decoding gives a struct within `wire.limits` or raises WireError, and never takes more
memory than those limits allow.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

import msgspec
import zstandard

from wire import limits
from wire.errors import Code, WireError
from wire.packages import Packages
from wire.report import VERSION, Enrolled, Enrolment, Refusal, Reply, Report

LEVEL = 3
"""Zstandard's own default: a report of 90 readings shrinks to a tenth in 50 µs."""

D = TypeVar("D", Report, Enrolment)


class _Head(msgspec.Struct):
    """What every version of every document has in common."""

    version: int = VERSION


_report = msgspec.json.Decoder(Report)
_enrolment = msgspec.json.Decoder(Enrolment)
_reply = msgspec.json.Decoder(Reply)
_enrolled = msgspec.json.Decoder(Enrolled)
_refusal = msgspec.json.Decoder(Refusal)
_head = msgspec.json.Decoder(_Head)
_encoder = msgspec.json.Encoder()
# A fleet uses the same few hundred names in every report.
_MATCHERS = {
    pattern: lru_cache(maxsize=4096)(pattern.fullmatch)
    for pattern in (limits.ID, limits.NAME, limits.MEASUREMENT, limits.LABEL, limits.DAY, limits.SNAPSHOT)
}


def encode(report: Report) -> bytes:
    """The body of a request. Raises WireError(`too_large`) for a report that no reader would take."""
    document = _encoder.encode(report)
    if len(document) > limits.MAX_DOCUMENT:
        raise WireError("too_large", f"the report has {len(document)} bytes; at most {limits.MAX_DOCUMENT} are taken")
    body = zstandard.ZstdCompressor(level=LEVEL).compress(document)
    if len(body) > limits.MAX_BODY:
        raise WireError("too_large", f"the body has {len(body)} bytes; at most {limits.MAX_BODY} are taken")
    return body


def decode(body: bytes) -> Report:
    """The report in a request's body.

    Raises WireError: `too_large` over a limit of bytes, `unsupported_version` for a version that is newer than
    this reader whatever else is in the report, `malformed_report` for everything else that is not one.
    """
    document = decompress(body)
    report = _read(_report, document, "report", "malformed_report")
    # msgspec has checked types, lengths and ranges; what is left are the letters of names.
    names = {state.name for state in report.checks}
    if len(names) != len(report.checks):
        raise WireError("malformed_report", "the report names a check twice in `checks`; each stands there once")
    readings = report.readings
    names.update(reading.check for reading in readings)
    names.update(state.kind for state in report.checks)
    names.update(job.name for job in report.jobs)
    names.update(event.kind for event in report.events)
    names.update(event.check for event in report.events if event.check)
    names.update(report.facts or ())
    for run in report.backups:
        names.update((run.job, run.source))
    for drill in report.drills:
        names.update((drill.name, drill.job))
    _match({report.host, report.epoch, report.boot, report.agent}, limits.ID, "an id or version")
    _match(names, limits.NAME, "the name of a check, job, event, drill, source or fact")
    _match({reading.name for reading in readings}, limits.MEASUREMENT, "the name of a measurement")
    if report.packages is not None:
        _match_packages(report.packages)
    if report.logs:
        _match({summary.day for summary in report.logs}, limits.DAY, "a day")
    snapshots = {drill.snapshot for drill in report.drills}
    for run in report.backups:
        snapshots.add(run.snapshot)
        snapshots.update(copy.snapshot for copy in run.copies)
    _match(snapshots - {""}, limits.SNAPSHOT, "the id of a snapshot")
    _match({label for reading in readings for label in reading.labels}, limits.LABEL, "the name of a label")
    return report


def decompress(body: bytes) -> bytes:
    """The document in a body: one Zstandard frame. Takes at most MAX_DOCUMENT bytes, whatever the frame says.

    Raises WireError `too_large` or `malformed_report`.
    """
    if len(body) > limits.MAX_BODY:
        raise WireError("too_large", f"the body has {len(body)} bytes; at most {limits.MAX_BODY} are taken")
    try:
        size = zstandard.frame_content_size(body)
        if size > limits.MAX_DOCUMENT:
            raise WireError(
                "too_large", f"the report says it has {size} bytes; at most {limits.MAX_DOCUMENT} are taken"
            )
        # The buffer is of the size that the frame names or, where it names none, of the limit; what does not fit
        # is an error of the library, and so is a frame that holds more or less than it says.
        return zstandard.ZstdDecompressor(max_window_size=limits.MAX_WINDOW).decompress(
            body, max_output_size=limits.MAX_DOCUMENT, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise WireError(
            "malformed_report",
            f"the body is not one Zstandard frame of at most {limits.MAX_DOCUMENT} bytes: {error}",
        ) from None


def decode_enrolment(body: bytes) -> Enrolment:
    """What an agent asks to be enrolled with. Raises WireError as `decode` does, with `bad_request`."""
    if len(body) > limits.MAX_BODY:
        raise WireError("too_large", f"the body has {len(body)} bytes; at most {limits.MAX_BODY} are taken")
    enrolment = _read(_enrolment, body, "enrolment", "bad_request")
    if not enrolment.name.isascii():
        raise WireError(
            "bad_request",
            "the host's name holds letters beyond ASCII, which can look like others: give an ASCII one",
        )
    if not enrolment.name.isprintable():
        raise WireError("bad_request", "the host's name holds characters that cannot be shown")
    if enrolment.name != " ".join(enrolment.name.split()):
        raise WireError(
            "bad_request", "the host's name has a space at an end, or two in a row, that nobody would see"
        )
    _match({enrolment.agent}, limits.ID, "the agent's version", code="bad_request")
    _match(enrolment.facts, limits.NAME, "the name of a fact", code="bad_request")
    return enrolment


def decode_reply(body: bytes) -> Reply:
    """Home's answer to a report. Raises ValueError for anything else."""
    return _reply.decode(body)


def decode_enrolled(body: bytes) -> Enrolled:
    """Home's answer to an enrolment. Raises ValueError for anything else."""
    enrolled = _enrolled.decode(body)
    if limits.ID.fullmatch(enrolled.host) is None:
        raise ValueError(f"{enrolled.host!r} is not the id of a host")
    return enrolled


def decode_refusal(body: bytes) -> Refusal:
    """Why home refused. Raises ValueError for anything else."""
    return _refusal.decode(body)


def has_nul(document: bytes) -> bool:
    """Whether a text in it has a NUL character, which PostgreSQL's cannot hold.

    JSON has it as an escape alone; behind an escaped backslash these letters are none.
    """
    return b"\\u0000" in document and b"\\u0000" in document.replace(b"\\\\", b"__")


def _read(decoder: msgspec.json.Decoder[D], document: bytes, what: str, code: Code) -> D:
    if has_nul(document):
        raise WireError(code, f"the {what} holds a NUL character")
    try:
        found = decoder.decode(document)
        version = found.version
    except (ValueError, RecursionError) as error:
        # A newer version may have another shape altogether, and then its version is what is wrong with it.
        with contextlib.suppress(ValueError, RecursionError):
            _refuse_newer(_head.decode(document).version, what)
        raise WireError(code, f"the {what} is not one of version {VERSION}: {error}") from None
    _refuse_newer(version, what)
    return found


def _refuse_newer(version: int, what: str) -> None:
    if version > VERSION:
        raise WireError(
            "unsupported_version",
            f"the {what} has version {version}, and this home reads up to version {VERSION}: update home first",
        )


def _match_packages(packages: Packages) -> None:
    # Thousands of names would push those that every report has out of the matchers' memory.
    names = [each.name for each in packages.installed] + [each.name for each in packages.pending or ()]
    for name in names:
        if limits.PACKAGE.fullmatch(name) is None:
            raise WireError(
                "malformed_report", f"{name!r} is not the name of a package: it must match {limits.PACKAGE.pattern}"
            )


def _match(names: Iterable[str], pattern: re.Pattern[str], what: str, code: Code = "malformed_report") -> None:
    matches = _MATCHERS[pattern]
    for name in names:
        if matches(name) is None:
            raise WireError(code, f"{name!r} is not {what}: it must match {pattern.pattern}")
