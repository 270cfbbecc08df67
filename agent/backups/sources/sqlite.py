"""SQLite: each database file as of one moment, while programs write to it.

A copy is made by SQLite's own backup (https://www.sqlite.org/backup.html), which takes what is in the write-ahead log
into it, page by page and in their places, so that what has not changed is stored once. A file in WAL mode is copied
in one step: readers hold up no writer there. In any other, a step of pages at a time lets writers in between; a write
by another process begins the copy anew, so that after a few of these the rest is copied in one step.
"""

from __future__ import annotations

import glob
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from urllib.parse import quote

from agent.backups.sources.contract import Contents, Run, SourceError
from agent.backups.temporary import temporary_folder
from agent.config.backup_sources.sqlite import SqliteSource
from backup.archive.streams import Stream
from backup.format.gotime import Moment
from kit.terminal import clean

FOLDER = "/sqlite"
_THEN = "no snapshot was made"
_PAGES = 2048
"""Pages of a step: some MiB, during which writers wait."""
_STARTS = 3
"""How often a copy may begin anew before it keeps writers waiting."""
_WAL = 2
"""What bytes 18 and 19, the versions for writing and reading, are in WAL mode: https://www.sqlite.org/fileformat.html"""
_WAIT = 60.0
"""Seconds for which a lock of a program is waited for."""


@contextmanager
def opened(options: SqliteSource, run: Run) -> Iterator[Contents]:
    """Find the files; each is copied when its turn comes."""
    files = _found(options)
    with temporary_folder() as folder:
        yield Contents(streams=tuple(_stream(file, folder) for file in files), names=(FOLDER,))


def _found(options: SqliteSource) -> list[str]:
    files: set[str] = set()
    for pattern in options.paths:
        matches = [path for path in _glob(pattern) if Path(path).is_file()]
        if not matches:
            raise SourceError(f"there is no file {clean(pattern)}; {_THEN}")
        files.update(matches)
    for pattern in options.exclude:
        files.difference_update(_glob(pattern))
    if not files:
        raise SourceError(f"every file is left out by exclude; {_THEN}")
    return sorted(files)


def _glob(pattern: str) -> list[str]:
    # A name without any pattern in it is meant as it is, and Path.glob does not take one that begins at the root.
    return [pattern] if os.path.lexists(pattern) else glob.glob(pattern, recursive=True)  # noqa: PTH207


def _stream(file: str, folder: Path) -> Stream:
    status = Path(file).stat()
    return Stream(
        FOLDER + file,
        partial(_copied, file, folder),
        mode=status.st_mode & 0o777,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=Moment(status.st_mtime_ns, 0),
    )


@contextmanager
def _copied(file: str, folder: Path) -> Iterator[FileIO]:
    copy = folder / "copy"
    try:
        _room(file, folder)
        _copy(file, copy)
        stream = FileIO(copy)
    except sqlite3.Error as error:
        raise SourceError(f"{clean(file)} cannot be copied: {_reason(error)}; {_THEN}") from None
    except OSError as error:
        raise SourceError(f"{clean(file)} cannot be copied to {folder.parent}: {error.strerror}; {_THEN}") from None
    with stream:
        yield stream
    copy.unlink()


def _reason(error: sqlite3.Error) -> str:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK:
        return "a transaction in it was cut off, which the next program that opens it must roll back first"
    return str(error)


def _room(file: str, folder: Path) -> None:
    """Raises SourceError where there is no room for a copy, before any of it is written."""
    size, free = Path(file).stat().st_size, shutil.disk_usage(folder).free
    if size > free:
        raise SourceError(
            f"{clean(file)} has {size} bytes, and {folder.parent}, where it is to be copied, has room for {free}; "
            f"set TMPDIR to a folder with more; {_THEN}"
        )


def _copy(file: str, to: Path) -> None:
    """Raises sqlite3.Error, and SourceError where it changes though nobody has it open, again and again."""
    for _ in range(_STARTS):
        unused, before = _is_unused(file), _stamp(file)
        _copy_as(file, to, "immutable=1" if unused else "mode=ro" + _shared(file))
        if not unused or (_stamp(file) == before and _is_unused(file)):
            return
        to.unlink()
    raise SourceError(f"{clean(file)} is opened and closed too often to be copied; {_THEN}")


def _copy_as(file: str, to: Path, parameters: str) -> None:
    with (
        closing(sqlite3.connect(f"file:{quote(file)}?{parameters}", uri=True, timeout=_WAIT)) as source,
        closing(sqlite3.connect(to, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA synchronous = OFF")  # a copy that is cut off is thrown away
        (mode,) = source.execute("PRAGMA journal_mode").fetchone()
        if mode == "wal" or not _copy_in_steps(source, target):
            source.backup(target)


def _is_unused(file: str) -> bool:
    """Whether it is in WAL mode and nobody has it open: then all is in the file itself.

    To open it otherwise would make the files beside it, as a user who may not be the one that owns it.
    """
    with open(file, "rb") as stream:
        header = stream.read(20)
    return _WAL in header[18:20] and not _exists_with_content(f"{file}-wal") and not Path(f"{file}-shm").exists()


def _shared(file: str) -> str:
    """That the file of shared memory is left as it is, where there is one. https://www.sqlite.org/wal.html#readonly"""
    return "&readonly_shm=1" if Path(f"{file}-shm").exists() else ""


def _exists_with_content(file: str) -> bool:
    return Path(file).exists() and Path(file).stat().st_size > 0


def _stamp(file: str) -> tuple[int, int, int]:
    """What is another once the file is written to."""
    status = Path(file).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


class _BegunAnewError(Exception):
    """Writers have the copy begin again and again."""


def _copy_in_steps(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    """False where writers let it come to no end."""
    starts, before = 0, 0

    def look(status: int, remaining: int, _total: int) -> None:
        nonlocal starts, before
        if status == sqlite3.SQLITE_OK and before and remaining >= before:
            starts += 1
            if starts >= _STARTS:
                raise _BegunAnewError
        before = remaining

    try:
        source.backup(target, pages=_PAGES, progress=look, sleep=0.01)
    except _BegunAnewError:
        return False
    return True
