"""The reading of the sqlite check. Loads `sqlite3`.

A database that other programs use must not be touched, not even by the files that SQLite makes beside it: in WAL
mode a reader that may write to the folder leaves a `-wal` and a `-shm` of its own user, which can lock the real one
out. So nothing is opened that is not there:

- in rollback mode, and in WAL mode where there is a `-wal`, the file is opened with `mode=ro` and `readonly_shm=1`;
- in WAL mode without a `-wal` nobody has it open, and all that there is stands in the main file: it is read as
  `immutable`. That holds only while it stays so: what was found in a file that changed meanwhile is dropped;
- a `-wal` without a `-shm`, as in a copy, is not read: the `-shm` is for the program to make that the file is of.

Formats: https://www.sqlite.org/fileformat.html, https://www.sqlite.org/wal.html#readonly, https://www.sqlite.org/uri.html.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from agent.checks.contract import CheckError, Finding, Measurement, Sample
from agent.checks.drivers import told
from agent.checks.sqlite import PROBLEMS_MAX, Memory, SqliteOptions, Verified, is_due, is_wal, judged
from kit.units import format_duration, format_size

STEPS = 10_000
"""Virtual machine instructions between two looks at the clock."""


class BusyError(Exception):
    """Another program held the database for as long as there was time."""


class ChangedError(Exception):
    """Somebody began to use the database while it was read as one that nobody uses."""


def look(options: SqliteOptions, before: Memory, *, now: float, deadline: float) -> Sample:
    """A sample, taken until `deadline` by time.monotonic. Raises CheckError where the file cannot be read."""
    file = Path(options.path)
    size = _size(file)
    if size is None:
        return Sample([Measurement("sqlite_up", 0)], [Finding("critical", f"there is no {file}")], memory=before)
    measurements = [
        Measurement("sqlite_size_bytes", size, "bytes"),
        Measurement("sqlite_wal_size_bytes", _size(_beside(file, "-wal")) or 0, "bytes"),
    ]
    memory, findings, summary = before, list[Finding](), ""
    try:
        with _opened(file, deadline) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            measurements.append(Measurement("sqlite_free_percent", 100 * free / max(1, pages), "percent"))
            memory = _verify(options, connection, before, now=now, deadline=deadline)
        summary = f"{'WAL' if is_wal(_header(file)) else 'rollback'} mode, {format_size(size)}"
    except BusyError:
        within = format_duration(options.patience)
        findings.append(Finding("warning", f"{file} is locked by another program for more than {within}"))
    except ChangedError:
        summary = "in use since a moment ago: the next run looks at it again"
        measurements, memory = measurements[:2], before
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise CheckError(f"{file}: {told(error)}") from None
        memory = Memory(attempt=Verified(now, options.integrity, [told(error)]), success=before.success)
    return judged(options.path, memory, [Measurement("sqlite_up", 1), *measurements], findings, summary, now=now)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is wrong, or is no database."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def _opened(file: Path, deadline: float) -> Iterator[sqlite3.Connection]:
    """The database for reading, without anything being made or changed.

    Raises BusyError, ChangedError, sqlite3.DatabaseError, CheckError.
    """
    before = _stamp(file)
    wal = is_wal(_header(file))
    log, shared = _size(_beside(file, "-wal")), _size(_beside(file, "-shm"))
    if wal and log and shared is None:
        raise CheckError(
            f"{file} has a write-ahead log that no program has open: it can be read when the one that it belongs to "
            "has opened it"
        )
    unused = bool(wal) and not log and shared is None
    parameters = "immutable=1" if unused else "mode=ro&readonly_shm=1"
    address = f"file:{quote(str(file))}?{parameters}"
    limit = max(0.1, deadline - time.monotonic())
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=limit, isolation_level=None)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BusyError from error
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK:
            raise CheckError(
                f"{file}: a transaction was cut off, and the next program that writes must roll it back first"
            ) from None
        raise
    finally:
        if unused and (_stamp(file) != before or _size(_beside(file, "-wal"))):
            raise ChangedError


def _verify(
    options: SqliteOptions, connection: sqlite3.Connection, before: Memory, *, now: float, deadline: float
) -> Memory:
    """What to remember after verifying, if that is due. Raises what `_opened` knows."""
    if options.integrity == "off":
        return Memory()
    if not is_due(options, before, now):
        return before
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    pragma = "quick_check" if options.integrity == "quick" else "integrity_check"
    try:
        rows = connection.execute(f"PRAGMA {pragma}({PROBLEMS_MAX})").fetchall()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
            raise
        reason = f"{pragma} takes longer than {format_duration(options.patience)}; raise `timeout`"
        return Memory(attempt=Verified(now, options.integrity, None, reason), success=before.success)
    # A row may be a list of lines under a heading: "*** in database main ***".
    lines = [line for (text,) in rows for line in str(text).splitlines() if not line.startswith("***")]
    problems = [] if lines == ["ok"] else lines
    return Memory(attempt=Verified(now, options.integrity, problems), success=before.success if problems else now)


def _header(file: Path) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(100)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _size(file: Path) -> int | None:
    """Bytes; None where there is no such file."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _stamp(file: Path) -> tuple[int, int, int]:
    """What is another once the file is written to."""
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
