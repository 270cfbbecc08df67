"""The agent's memory: one SQLite file in the state folder, written in short transactions, never in doubt.

WAL with synchronous=NORMAL: a power cut may lose the last moments, never the file. What is damaged all the same
is set aside under a name that says when, and a new database begins under a new `epoch`, so that home does not
take numbers that start again for repeats.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import msgspec

from agent import mark
from agent.mark import Mark
from kit.errors import HostwardError
from kit.files import own_as_folder
from wire import fit
from wire.limits import ID
from wire.report import BackupRun, CheckState, Drill, Event, Gap, JobResult, LogSummary, Reading

FILE = "agent.db"
APPLICATION = 0x48576172  # "HWar", in the file's header: another program's SQLite file is not ours to write
EVENTS_KEPT = 500
GAPS_KEPT = 50
CORRUPT_KEPT = 3
FREE_PAGES_KEPT = 512

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE checks (
        name TEXT PRIMARY KEY,
        state BLOB NOT NULL,
        memory BLOB NOT NULL,
        boot TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL, result BLOB NOT NULL);
    CREATE INDEX runs_by_name ON runs (name, id);
    CREATE TABLE events (id INTEGER PRIMARY KEY, event BLOB NOT NULL);
    CREATE TABLE outbox (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, row BLOB NOT NULL);
    CREATE TABLE gaps (
        id INTEGER PRIMARY KEY,
        reason TEXT NOT NULL,
        since REAL NOT NULL,
        until REAL NOT NULL,
        readings INTEGER NOT NULL,
        events INTEGER NOT NULL,
        job_results INTEGER NOT NULL,
        reports INTEGER NOT NULL,
        reported INTEGER NOT NULL
    );
    """,
    # The spool (agent/home/spool.py). AUTOINCREMENT: a number is never given twice, also once all are delivered.
    """
    CREATE TABLE spool (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        readings INTEGER NOT NULL,
        events INTEGER NOT NULL,
        job_results INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX spool_with_readings ON spool (sequence) WHERE readings > 0;
    CREATE INDEX spool_bare ON spool (sequence) WHERE readings = 0 AND events = 0 AND job_results = 0;
    CREATE TABLE spool_total (reports INTEGER NOT NULL, bytes INTEGER NOT NULL);
    INSERT INTO spool_total VALUES (0, 0);
    """,
)
"""One script per schema version, run in order; `PRAGMA user_version` counts them. A released one never changes."""

Kind = Literal["readings", "event", "job", "logs", "backup", "drill"]
Item = list[Reading] | Event | JobResult | LogSummary | BackupRun | Drill

_OUTGOING: dict[type, tuple[Kind, Callable[[Any], Any]]] = {
    list: ("readings", fit.readings),
    Event: ("event", fit.event),
    JobResult: ("job", fit.job_result),
    LogSummary: ("logs", fit.log_summary),
    BackupRun: ("backup", fit.backup_run),
    Drill: ("drill", fit.drill),
}


class StateError(HostwardError):
    """The state folder cannot be used."""


class StateFullError(StateError):
    """No room is left on the disk; nothing of the transaction was kept."""


class StateCorruptError(StateError):
    """The database is damaged; opening it again sets it aside and begins a new one."""


class StateRevertedError(StateCorruptError):
    """The database is as it was before it gave numbers that home knows."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A database that could not be gone on with, and that a new one took the place of."""

    aside: Path | None
    """Where it is kept; None where there was none any more."""
    reverted: bool = False
    """Whether it is sound, but as it was a while ago: see agent/mark.py."""


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """A check as it was last judged, with what its next judgement needs."""

    state: CheckState
    memory: bytes
    boot: str
    """The boot id under which `memory` was written: its ticks and counters mean nothing in another."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox: JSON of an `Item`."""

    id: int
    kind: Kind
    row: bytes


class State:
    """One connection to the database, for the thread that opened it; other threads take a `sibling()`."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.connection = connection
        self.damage: Damage | None = None
        """What this `open` found instead of a sound database."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the database for writing; make the folder (0700), the file and its tables as needed.

        Raises StateError when the folder cannot be used or a newer Hostward wrote it, StateFullError when there is no
        room for it. A damaged file is set aside: see `damage`.
        """
        make_folder(folder)
        noted = mark.read(folder)
        try:
            state = cls._open_sound(folder, noted)
        except StateCorruptError as error:
            aside = _set_aside(folder / FILE)
            state = cls._open_sound(folder, None)
            state.damage = Damage(aside, reverted=isinstance(error, StateRevertedError))
        else:
            if noted is not None and noted.epoch != state.epoch:
                state.damage = Damage(None)
        if state.damage is not None:
            mark.note(folder, Mark(state.epoch, 0))
        return state

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the database for reading, beside a daemon that writes. Raises StateError, also when there is none."""
        path = folder / FILE
        try:
            path.stat()
        except FileNotFoundError:
            raise StateError(f"there is no agent state in {folder}: has `hostward run` been started there?") from None
        except OSError as error:
            raise StateError(
                f"the state folder {folder} cannot be read: {error.strerror}; "
                "run as root or as the user it belongs to"
            ) from error
        state = cls(folder, _connect(path, writable=False))
        try:
            state._check_version()
            _ = state.epoch
        except (sqlite3.Error, StateError) as error:
            state.close()
            if isinstance(error, sqlite3.Error):
                _raise(error, path)
            raise
        return state

    def sibling(self) -> State:
        """A connection of its own to the same database, to be opened and used in another thread."""
        return State(self.folder, _connect(self.folder / FILE, writable=True))

    def close(self) -> None:
        """Give the file back. Nothing is lost: what was not in a transaction was not promised."""
        self.connection.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises StateFullError, StateCorruptError or StateError.

        `durable`: a power cut takes nothing back either, at the price of waiting for the disk.
        """
        try:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            # A full disk may have rolled back by itself, and then a second rollback is an error of its own.
            with contextlib.suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                _raise(error, self.folder / FILE)
            raise

    # Small values, by key.

    @property
    def epoch(self) -> str:
        """The random name of this database, made with it."""
        epoch = self.get("epoch")
        if epoch is None or not ID.fullmatch(epoch):
            raise StateCorruptError(f"{self.folder / FILE} lacks its epoch")
        return epoch

    def get(self, key: str) -> str | None:
        """The value kept under `key`."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str | None) -> None:
        """Keep `value` under `key`; None forgets it. Inside a transaction."""
        if value is None:
            self.connection.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def items(self, prefix: str) -> dict[str, str]:
        """The values of the keys that begin with `prefix`, by what follows it."""
        rows = self.connection.execute(
            "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)
        )
        return {key.removeprefix(prefix): value for key, value in rows}

    # Checks.

    def checks(self) -> dict[str, StoredCheck]:
        """Every check as it was last judged, by name."""
        rows = self.connection.execute("SELECT name, state, memory, boot FROM checks ORDER BY name")
        return {name: StoredCheck(_CHECK.decode(state), memory, boot) for name, state, memory, boot in rows}

    def save_check(self, check: StoredCheck) -> None:
        """Put a check's new state and memory in place of its old ones. Inside a transaction."""
        state = fit.check_state(check.state)
        self.connection.execute(
            "INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?)",
            (state.name, _ENCODER.encode(state), check.memory, check.boot),
        )

    def keep_checks(self, names: Collection[str]) -> None:
        """Forget all checks but these. Inside a transaction."""
        stored = self.connection.execute("SELECT name FROM checks").fetchall()
        gone = [row for row in stored if row[0] not in names]
        self.connection.executemany("DELETE FROM checks WHERE name = ?", gone)

    # Runs of jobs.

    def add_run(self, result: JobResult, *, keep: int) -> None:
        """Record a run, and forget all but the job's last `keep`. Inside a transaction."""
        result = fit.job_result(result)
        self.connection.execute(
            "INSERT INTO runs (name, result) VALUES (?, ?)", (result.name, _ENCODER.encode(result))
        )
        self.connection.execute(
            "DELETE FROM runs WHERE name = ?1 AND id NOT IN "
            "(SELECT id FROM runs WHERE name = ?1 ORDER BY id DESC LIMIT ?2)",
            (result.name, keep),
        )

    def runs(self, name: str) -> list[JobResult]:
        """The runs of a job that are kept, the newest first."""
        rows = self.connection.execute("SELECT result FROM runs WHERE name = ? ORDER BY id DESC", (name,))
        return [_JOB.decode(row) for (row,) in rows]

    def last_runs(self) -> dict[str, JobResult]:
        """The last run of every job that ever ran, by name."""
        rows = self.connection.execute("SELECT result FROM runs WHERE id IN (SELECT max(id) FROM runs GROUP BY name)")
        return {result.name: result for result in map(_JOB.decode, (row for (row,) in rows))}

    # Events.

    def add_event(self, event: Event) -> None:
        """Add to the bounded history of what happened. Inside a transaction."""
        cursor = self.connection.execute(
            "INSERT INTO events (event) VALUES (?)", (_ENCODER.encode(fit.event(event)),)
        )
        self.connection.execute("DELETE FROM events WHERE id <= ?", ((cursor.lastrowid or 0) - EVENTS_KEPT,))

    def events(self, limit: int = EVENTS_KEPT) -> list[Event]:
        """What happened, the newest first."""
        rows = self.connection.execute("SELECT event FROM events ORDER BY id DESC LIMIT ?", (limit,))
        return [_EVENT.decode(row) for (row,) in rows]

    # The outbox: what the next report takes along. It is filled only while a home is known.

    def enqueue(self, item: Item) -> None:
        """Let the next report take this along. Inside a transaction."""
        kind, fitted = _OUTGOING[type(item)]
        self.connection.execute("INSERT INTO outbox (kind, row) VALUES (?, ?)", (kind, _ENCODER.encode(fitted(item))))

    def outbox(self, limit: int) -> list[Waiting]:
        """At most `limit` rows that wait for a report, the oldest first."""
        rows = self.connection.execute("SELECT id, kind, row FROM outbox ORDER BY id LIMIT ?", (limit,))
        return [Waiting(*row) for row in rows]

    def clear_outbox(self, up_to: int) -> None:
        """Forget the rows up to this id: a report has them. Inside a transaction."""
        self.connection.execute("DELETE FROM outbox WHERE id <= ?", (up_to,))

    # Gaps: what was measured and could not be kept or delivered.

    def add_gap(self, gap: Gap) -> None:
        """Count a loss; one with the same reason that no report has told yet grows. Inside a transaction."""
        grown = self.connection.execute(
            "UPDATE gaps SET since = min(since, ?), until = max(until, ?), readings = readings + ?,"
            " events = events + ?, job_results = job_results + ?, reports = reports + ?"
            " WHERE reason = ? AND NOT reported",
            (gap.since, gap.until, gap.readings, gap.events, gap.job_results, gap.reports, gap.reason),
        )
        if not grown.rowcount:
            self.connection.execute(
                "INSERT INTO gaps (reason, since, until, readings, events, job_results, reports, reported)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (gap.reason, gap.since, gap.until, gap.readings, gap.events, gap.job_results, gap.reports),
            )
            self.connection.execute(
                "DELETE FROM gaps WHERE id <= (SELECT max(id) FROM gaps) - ? AND reported", (GAPS_KEPT,)
            )

    def take_gaps(self) -> list[Gap]:
        """The gaps that no report has told yet; from now on they count as told. Inside a transaction."""
        gaps = self.gaps(reported=False)
        self.connection.execute("UPDATE gaps SET reported = 1 WHERE NOT reported")
        return gaps

    def gaps(self, *, reported: bool | None = None) -> list[Gap]:
        """The last gaps, the oldest first: all of them, or those that a report has told, or those that none has."""
        rows = self.connection.execute(
            "SELECT reason, since, until, readings, events, job_results, reports FROM gaps"
            " WHERE ?1 IS NULL OR reported = ?1 ORDER BY id",
            (reported,),
        )
        return [
            Gap(
                reason=reason,
                since=since,
                until=until,
                readings=readings,
                events=events,
                job_results=job_results,
                reports=reports,
            )
            for reason, since, until, readings, events, job_results, reports in rows
        ]

    # Opening.

    @classmethod
    def _open_sound(cls, folder: Path, noted: Mark | None) -> Self:
        path = folder / FILE
        state = cls(folder, _connect(path, writable=True))
        try:
            state._migrate()
            state._verify(noted)
        except BaseException as error:
            state.close()
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                _raise(error, path)
            raise
        return state

    def _verify(self, noted: Mark | None) -> None:
        """Read what a start will read: SQLite knows its pages, and has no checksum of what is in them."""
        path = self.folder / FILE
        try:
            self.checks(), self.last_runs(), self.events(), self.gaps()
        except ValueError as error:
            raise StateCorruptError(f"{path} is damaged: {error}") from error
        row = self.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'spool'").fetchone()
        given = 0 if row is None else row[0]
        if noted is not None and noted.epoch == self.epoch and given < noted.sequence:
            raise StateRevertedError(
                f"{path} has gone back in time: it has numbered {given} reports, and had numbered {noted.sequence}"
            )

    def _migrate(self) -> None:
        version = self._check_version()
        sound = self._pragma("quick_check(1)")
        if sound != "ok":
            raise StateCorruptError(f"{self.folder / FILE} is damaged: {sound}")
        if version == 0:
            # Before the first table: it cannot be changed in WAL mode or later without a VACUUM. It lets pages of a
            # spool that has been delivered go back to the file system.
            self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self.connection.execute("PRAGMA journal_mode = WAL")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            with self.transaction() as connection:
                for statement in script.split(";"):
                    connection.execute(statement)
                if number == 1:
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    self.put("epoch", secrets.token_hex(16))
                connection.execute(f"PRAGMA user_version = {number}")
        _ = self.epoch

    def _check_version(self) -> int:
        """The schema's version; 0 for an empty file. Raises StateCorruptError, or StateError for a newer one."""
        path = self.folder / FILE
        version = int(self._pragma("user_version"))
        tables = self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        application = int(self._pragma("application_id"))
        if application != APPLICATION and (tables or version or application):
            raise StateCorruptError(f"{path} is not a database of this program")
        if version > len(MIGRATIONS):
            raise StateError(
                f"{path} was written by a newer Hostward (schema {version}, this version knows {len(MIGRATIONS)}): "
                "install that version again, or choose another --state-dir"
            )
        return version

    def give_back(self) -> None:
        """Return some of the room that delivered reports left in the file to the file system."""
        if self._pragma("freelist_count") > FREE_PAGES_KEPT:
            # Each page is a step of the statement, and `execute` takes but one where there are no columns.
            self.connection.executescript("PRAGMA incremental_vacuum(256)")

    def _pragma(self, name: str) -> Any:
        row = self.connection.execute(f"PRAGMA {name}").fetchone()
        return None if row is None else row[0]


def make_folder(folder: Path) -> None:
    """Make the state folder, for its owner alone, where there is none. Raises StateError when it cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StateFullError(f"no room is left for the state folder {folder}") from error
        raise StateError(
            f"the state folder {folder} cannot be used: {error.strerror}; "
            "choose a folder that you can write to with --state-dir DIR, or run as the user it belongs to"
        ) from error


_ENCODER = msgspec.json.Encoder()
_CHECK = msgspec.json.Decoder(CheckState)
_JOB = msgspec.json.Decoder(JobResult)
_EVENT = msgspec.json.Decoder(Event)


def _connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    try:
        if writable:
            _make(path)
            own_as_folder(path)
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}", uri=True, isolation_level=None, timeout=5
        )
    except (OSError, sqlite3.Error) as error:
        _raise(error, path)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -128")  # KiB: rows are written once and read once
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        _raise(error, path)
    return connection


def _make(path: Path) -> None:
    """Make the file where there is none, for SQLite takes the mode, and for root the owner, of -wal and -shm from it.

    One that is there is looked at and not opened: to close it again would give up the locks of all connections that
    this process has to it (fcntl(2)), and the next program to look at the database would remove the log from under
    them. Should root run this, a link that the folder's owner put there leads nowhere. Raises OSError.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _raise(error: sqlite3.Error | OSError | UnicodeDecodeError, path: Path) -> NoReturn:
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StateFullError(f"no room is left for {path}") from error
        if error.errno == errno.EISDIR:
            raise StateCorruptError(f"{path} is a folder") from error
        raise StateError(f"{path} cannot be used: {error.strerror}") from error
    code = getattr(error, "sqlite_errorcode", None) or 0
    # For text whose bytes are none the driver has no code; in a message of SQLite's it even trips over them itself.
    no_text = isinstance(error, UnicodeDecodeError) or "not decode to UTF-8" in str(error)
    if no_text or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise StateCorruptError(f"{path} is damaged: {error}") from error
    if code & 0xFF == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and _is_full(path.parent)):
        raise StateFullError(f"no room is left for {path}") from error
    raise StateError(f"{path} cannot be used: {error}") from error


def _is_full(folder: Path) -> bool:
    """SQLite reports some writes to a full disk (its -shm file) as a plain input/output error."""
    try:
        return os.statvfs(folder).f_bavail < 16
    except OSError:
        return False


def _set_aside(path: Path) -> Path:
    """Move a damaged database out of the way, with its log; of earlier ones keep a few for who wants to look."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.rename(aside)
    with contextlib.suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(aside.with_name(f"{aside.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    earlier = [found for found in path.parent.glob(f"{path.name}.corrupt-*") if not found.name.endswith("-wal")]
    for old in sorted(earlier, key=lambda found: found.stat().st_mtime)[:-CORRUPT_KEPT]:
        for file in (old, old.with_name(f"{old.name}-wal")):
            with contextlib.suppress(OSError):  # a folder, for one: that is not the agent's to clear
                file.unlink(missing_ok=True)
    return aside
