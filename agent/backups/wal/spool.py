"""The folder in which WAL waits to be saved.

    SPOOL/SYSTEM-IDENTIFIER/000000010000000000000003

PostgreSQL's archive_command puts files there, as the server's user; a run of the backup job takes them away. A file
has its name only when it is whole and durable, and is never changed. History files stay: they are small, and whoever
restores needs those of all timelines.

The spool belongs to the server's user, and root reads and empties it: no link in it is followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from agent.backups.wal.segment import CONTROL, HEADER, Kind, kind_of, read_control, read_header
from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder
from kit.terminal import clean

_PIECE = 1 << 20
_CONTROL_FILE = "global/pg_control"
_SYSTEM = re.compile(r"[0-9]{1,20}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SpoolError(HostwardError):
    """WAL could not be put into the spool, so PostgreSQL keeps it and tries again; the message says why."""


class Spooled(NamedTuple):
    """A file that waits."""

    path: Path
    system: int
    kind: Kind
    size: int
    mtime_ns: int
    """When PostgreSQL wrote to it last."""
    arrived: float
    """Seconds since 1970."""

    @property
    def name(self) -> str:
        return self.path.name


def archive(spool: Path, source: Path, name: str) -> None:
    """Put a file of PostgreSQL's into the spool under `name`, durably. Nothing is done where it is there already.

    Raises SpoolError where another file of that name is there, or it cannot be done; UsageError for bad words.
    """
    kind = kind_of(name)
    if kind is None:
        raise UsageError(
            f'"{clean(name)}" is no file that PostgreSQL archives: expected archive_command = '
            "'hostward backup wal archive SPOOL %p %f'"
        )
    try:
        with open(source, "rb") as file:
            folder = _folder(spool, _system_of(file.fileno(), source, name, kind))
            _put(file.fileno(), folder / name)
    except OSError as error:
        where = error.filename or spool
        raise SpoolError(f"{clean(str(where))}: {error.strerror or error}; {name} stays with PostgreSQL") from None


def waiting(spool: Path) -> list[Spooled]:
    """What is in the spool, by cluster and name. Raises OSError."""
    found = []
    for folder in sorted(spool.iterdir()):
        if not _SYSTEM.fullmatch(folder.name) or not stat.S_ISDIR(folder.lstat().st_mode):
            continue
        for file in sorted(folder.iterdir()):
            kind = kind_of(file.name)
            if kind is not None and stat.S_ISREG((status := file.lstat()).st_mode):
                found.append(
                    Spooled(file, int(folder.name), kind, status.st_size, status.st_mtime_ns, status.st_ctime)
                )
    return found


def content_of(file: Spooled) -> FileIO:
    """To read it. Raises OSError, also where something else stands in its place by now."""
    folder = os.open(file.path.parent, _FOLDER)
    try:
        descriptor = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    content = FileIO(descriptor)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        content.close()
        raise OSError(errno.EINVAL, "is no regular file any more", str(file.path))
    return content


def take_away(files: list[Spooled]) -> None:
    """Remove what is saved, the oldest first; history files stay. Raises OSError."""
    folders: dict[Path, list[Spooled]] = {}
    for file in files:
        if file.kind is not Kind.HISTORY:
            folders.setdefault(file.path.parent, []).append(file)
    for path, those in folders.items():
        folder = os.open(path, _FOLDER)
        try:
            for file in those:
                with suppress(FileNotFoundError):
                    os.unlink(file.name, dir_fd=folder)
            os.fsync(folder)
        finally:
            os.close(folder)


def _system_of(descriptor: int, source: Path, name: str, kind: Kind) -> int:
    if kind is Kind.SEGMENT:
        header = read_header(os.pread(descriptor, HEADER, 0))
        if header is None:
            raise SpoolError(f"{clean(str(source))}: is no segment of WAL of this kind of machine")
        if (size := os.fstat(descriptor).st_size) != header.size:
            raise SpoolError(f"{clean(str(source))}: is {size} bytes long; expected {header.size}")
        return header.system
    try:
        with open(_CONTROL_FILE, "rb") as control:
            return read_control(control.read(CONTROL))
    except (OSError, ValueError):
        raise SpoolError(
            f"{name} does not say of which cluster it is, and {Path.cwd()} has no {_CONTROL_FILE}: expected to be "
            "run by PostgreSQL, in its data folder"
        ) from None


def _folder(spool: Path, system: int) -> Path:
    """Where the files of a cluster are, with the rights of the spool itself."""
    status = spool.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise SpoolError(f"{clean(str(spool))}: expected a folder")
    folder = spool / str(system)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(stat.S_IMODE(status.st_mode))
    fsync_folder(spool)  # also where it is there: whoever made it may have been killed before this
    return folder


def _put(source: int, target: Path) -> None:
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two servers, or two tries, do not write one temporary file
        if _is_there(source, target):
            return
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            _copy(source, temporary, stat.S_IMODE(os.fstat(folder).st_mode) & 0o660)
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(source: int, target: Path, mode: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb", buffering=0) as file:
        os.fchmod(descriptor, mode)
        offset = 0
        while piece := os.pread(source, _PIECE, offset):
            offset += len(piece)
            while piece:
                piece = piece[file.write(piece) :]
        status = os.fstat(source)
        os.utime(descriptor, ns=(status.st_mtime_ns, status.st_mtime_ns))
        os.fsync(descriptor)


def _is_there(source: int, target: Path) -> bool:
    """Whether the same file is there, durably. Raises SpoolError where it is another."""
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with open(descriptor, "rb", buffering=0):
        offset = 0
        while True:
            ours, theirs = os.pread(source, _PIECE, offset), os.pread(descriptor, _PIECE, offset)
            if ours != theirs:
                raise SpoolError(
                    f"{clean(str(target))}: is there already, and is another file: do two servers archive into it?"
                )
            if not ours:
                break
            offset += len(ours)
        os.fsync(descriptor)
    fsync_folder(target.parent)
    return True
