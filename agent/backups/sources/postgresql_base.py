"""Base backups of PostgreSQL: pg_basebackup copies the server into a scratch folder, from which it is saved as files.

Files, not a tar: stock restic restores a data folder that PostgreSQL starts from. The copy holds the WAL that was
written meanwhile, so that it can be restored for itself; what comes after is the archive's
(https://www.postgresql.org/docs/current/continuous-archiving.html).

    SCRATCH/base/data                 the data folder, with backup_manifest
    SCRATCH/base/tablespaces/OID      what lies elsewhere on the server
    SCRATCH/base/base.json            agent/backups/wal/base.py

The folders belong to the user as whom the tools run. What root makes in there it makes by descriptors, following no
link that this user may have put in its way.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.backups.programs import read_all
from agent.backups.sources.contract import Contents, Run, SourceError
from agent.backups.sources.libpq import Reached, reached
from agent.backups.wal.base import DATA, FILE, TABLESPACES, BaseFile, ManifestError, read_ranges
from agent.backups.wal.segment import CONTROL, read_control
from agent.backups.wal.tools import verify_backup
from agent.config.backup_sources.postgresql_base import PostgresqlBaseSource
from backup.format.gotime import Moment
from backup.select.wal_names import BASE_MARK, Base
from kit.files import read_regular
from kit.terminal import clean

_PSQL = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password", "--set=ON_ERROR_STOP=1"]
_SPACES = (
    "SELECT oid || ' ' || pg_tablespace_location(oid) FROM pg_tablespace "
    "WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid"
)
_AFTER = (
    "SELECT pg_snapshot_xmax(pg_current_snapshot()), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
    "current_setting('server_version')"
)
_DATABASE = "postgres"
_MICRO = 1000
_MAX_MANIFEST = 1 << 30
"""Bytes: of some five million files."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def opened(options: PostgresqlBaseSource, run: Run) -> Iterator[Contents]:
    """Copy the server. The copy is removed at the end; what a killed run left, at the begin. Raises SourceError."""
    scratch = Path(options.scratch)
    try:
        folder = _opened(scratch, options.run_as)
    except OSError as error:
        raise SourceError(f"{clean(str(scratch))}, the scratch folder: {error.strerror}") from None
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceError(f"{clean(str(scratch))}: another base backup is being made in it") from None
        base = scratch / "base"
        _remove(base)
        try:
            with reached(options) as server, ExitStack() as held:
                made = _made(folder, base.name, options.run_as)
                held.callback(os.close, made)
                contents = _copy(options, run, server, base, made)
            yield contents
        finally:
            _remove(base)
    finally:
        os.close(folder)


def _copy(options: PostgresqlBaseSource, run: Run, server: Reached, base: Path, folder: int) -> Contents:
    """Into `base`, which is empty, and open as `folder`."""
    spaces = dict(line.split(" ", 1) for line in _ask(server, _SPACES))
    words = ["pg_basebackup", f"--pgdata={base / DATA}", "--format=plain", "--wal-method=stream", "--no-password"]
    words += [f"--checkpoint={options.checkpoint}", f"--label=hostward {run.job}", "--no-sync"]
    for oid, location in spaces.items():
        words.append(f"--tablespace-mapping={_escaped(location)}={_escaped(str(base / TABLESPACES / oid))}")
    if spaces:
        os.close(_made(folder, TABLESPACES, options.run_as))
    with server.output(words, _DATABASE) as output:
        read_all(output)
    (after,) = _ask(server, _AFTER)
    next_xid, microseconds, version = after.split("|")
    try:
        verify_backup(base / DATA, user=options.run_as)
        timeline, start, stop = read_ranges(read_regular(base / DATA / "backup_manifest", _MAX_MANIFEST))
        system = read_control(read_regular(base / DATA / "global" / "pg_control", CONTROL))
        found = Base(system, timeline, start, stop, int(next_xid))
        file = BaseFile.of(found, version=version, taken=int(microseconds) / 1e6, tablespaces=spaces)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(FILE, flags, 0o600, dir_fd=folder), "wb") as out:
            out.write(file.encode())
    except (OSError, ManifestError, ValueError) as error:
        raise SourceError(f"pg_basebackup left no base backup that can be saved: {error}") from None
    return Contents(
        paths=(os.fsencode(base),),
        tags=(BASE_MARK, found.tag()),
        moment=Moment(int(microseconds) * _MICRO),
    )


def _ask(server: Reached, question: str) -> list[str]:
    with server.output([*_PSQL, f"--command={question}"], _DATABASE) as output:
        return read_all(output).decode().splitlines()


def _opened(scratch: Path, user: str) -> int:
    """The scratch folder, made where it is not there. Raises OSError."""
    try:
        return os.open(scratch, _FOLDER)
    except FileNotFoundError:
        above = os.open(scratch.parent, _FOLDER)
        try:
            return _made(above, scratch.name, user)
        finally:
            os.close(above)


def _made(above: int, name: str, user: str) -> int:
    """A new folder of the tools' user: its descriptor. Raises OSError."""
    os.mkdir(name, 0o700, dir_fd=above)
    folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.fchown(folder, entry.pw_uid, entry.pw_gid)
    return folder


def _remove(base: Path) -> None:
    if os.path.lexists(base):
        shutil.rmtree(base)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace("=", "\\=")
