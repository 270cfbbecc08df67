"""SQLite databases: integrity, size, what the write-ahead log and free pages take.

What is read, and how, is in sqlite_session.py, which loads `sqlite3`; this file says what it means.
"""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec

from agent.checks.contract import (
    Check,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
    remembered,
)
from kit.units import Duration, format_duration

MAGIC = b"SQLite format 3\x00"
WAL = 2
"""What the header's bytes 18 and 19, the versions for writing and reading, are in WAL mode."""
PROBLEMS_MAX = 3


class SqliteOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A SQLite database file."""

    every: Every = Duration(60)
    path: Annotated[
        str,
        msgspec.Meta(
            description="The database file, in full.",
            pattern=r"\A/[^\x00]*\Z",
            examples=["/var/lib/grafana/grafana.db"],
            extra={"words": "the full path of a file"},
        ),
    ]
    integrity: Annotated[
        Literal["quick", "full", "off"],
        msgspec.Meta(
            description="How the file is verified: `quick_check`, `integrity_check`, which compares the indexes too, "
            "or not at all. It reads the whole file, and one without a write-ahead log cannot be written meanwhile.",
            examples=["full"],
        ),
    ] = "quick"
    integrity_every: Annotated[
        Duration,
        msgspec.Meta(description="How often the file is verified.", examples=["7d"], extra={"minimum": Duration(1)}),
    ] = Duration(86400)
    size: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the size of the file, in bytes.", examples=[{"warning": 2_000_000_000}]),
    ] = Threshold()
    wal: Annotated[Threshold, msgspec.Meta(description="Bounds of the size of the write-ahead log, in bytes.")] = (
        Threshold(warning=256 * 2**20)
    )
    free: Annotated[Threshold, msgspec.Meta(description="Bounds of the pages that hold nothing, in percent.")] = (
        Threshold()
    )


class Verified(msgspec.Struct, frozen=True):
    """How an attempt to verify the file ended."""

    time: float
    """Seconds since the epoch."""
    kind: str
    """`quick` or `full`."""
    problems: list[str] | None
    """What is wrong with the file; None where that could not be told."""
    reason: str = ""
    """Why it could not."""


class Memory(msgspec.Struct, frozen=True):
    """What the next run is given."""

    attempt: Verified | None = None
    success: float | None = None
    """When a verification last found nothing wrong, in seconds since the epoch."""


class Sqlite(Check[SqliteOptions]):
    """A database file."""

    Options = SqliteOptions
    runs = "job"
    lasting = True

    def rules(self) -> list[Rule]:
        """Sizes."""
        options = self.options
        return [
            Rule("sqlite_size_bytes", options.size, "the file has {value}"),
            Rule("sqlite_wal_size_bytes", options.wal, "the write-ahead log has {value}"),
            Rule("sqlite_free_percent", options.free, "{value} of the file hold nothing"),
        ]

    def collect(self, context: Context) -> Sample:
        """Look at the files, ask the database, verify it when it is time."""
        deadline = time.monotonic() + self.options.patience
        # 2 MB: only the child that reads a database pays for it.
        from agent.checks.sqlite_session import look

        return look(self.options, remembered(context.previous, Memory), now=context.now, deadline=deadline)


def judged(
    path: str, memory: Memory, measurements: list[Measurement], findings: list[Finding], summary: str, *, now: float
) -> Sample:
    """What is known of the file's integrity holds until it is verified again."""
    if (attempt := memory.attempt) is not None:
        if attempt.problems is None:
            findings.append(Finding("unknown", f"{path} could not be verified: {attempt.reason}"))
        else:
            measurements.append(Measurement("sqlite_integrity_ok", float(not attempt.problems)))
            findings += [
                Finding("critical", f"{path} is damaged: {problem}") for problem in attempt.problems[:PROBLEMS_MAX]
            ]
    if memory.success is not None:
        age = max(0.0, now - memory.success)
        measurements.append(Measurement("sqlite_verified_age_seconds", age, "seconds"))
        summary += f", verified {format_duration(age)} ago" if summary else ""
    return Sample(measurements, findings, summary, memory=memory)


def is_wal(header: bytes) -> bool | None:
    """Whether the first 100 bytes are those of a database in WAL mode; None where they are of no database.

    An empty file is a database in which nothing was ever written.
    """
    if not header:
        return False
    if len(header) < 100 or not header.startswith(MAGIC):
        return None
    return header[18] == WAL or header[19] == WAL


def is_due(options: SqliteOptions, before: Memory, now: float) -> bool:
    """Whether to verify: not again before its time, however it ended. One from the future is from another clock."""
    if options.integrity == "off":
        return False
    attempt = before.attempt
    if attempt is None or attempt.kind != options.integrity:
        return True
    return not 0 <= now - attempt.time < options.integrity_every
