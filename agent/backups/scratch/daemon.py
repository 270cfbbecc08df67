"""A server's process: started as an unprivileged user, waited for, ended with what it wrote.

What is loaded runs code: functions in constraints and indexes, as whoever could write to the saved database put them
there. So the server's user owns nothing else on the host, and what root does in a folder of theirs follows no name
that they may have put in it.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.backups.programs import becoming, home_of, path_of
from agent.backups.scratch.contract import ScratchError
from agent.jobs.limits import Limits
from agent.jobs.process import start
from backup.restore.below import remove_all
from kit.terminal import bounded

_USERS = ("hostward-scratch", "nobody")
"""The first is made by the installation. Never the user of a server of the host: its data would be within reach."""
_TO_LOG = 'exec "$@" >>"$0" 2>&1'
"""For a shell: become the rest, and write to the file that the first argument names."""
_END = 10.0
"""Seconds that a server may take to end before it is killed."""
_LOOK = 0.05
_LONGEST = 90
"""Bytes: a socket's path has 107 at most (unix(7)), and PostgreSQL's is 15 longer than that of its folder."""
_TAIL = 2000


def unprivileged() -> str:
    """As whom a server runs that root starts; empty: who we are."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


def new_file(folder: Path, name: str, user: str) -> int:
    """A descriptor of a new file of the user's in the user's folder, in the place of an old one. Raises OSError."""
    (folder / name).unlink(missing_ok=True)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if user:
        entry = pwd.getpwnam(user)
        os.fchown(descriptor, entry.pw_uid, entry.pw_gid)
    return descriptor


@contextmanager
def owned(folder: Path, user: str) -> Iterator[None]:
    """Let the folder belong to the server's user alone. What is in it is removed in the end.

    Raises ScratchError for one whose path leaves no room for a socket's.
    """
    if len(bytes(folder)) > _LONGEST:
        raise ScratchError(f"{folder}: expected a path of at most {_LONGEST} bytes, for a socket lies in it")
    if user:
        shutil.chown(folder, user)
    folder.chmod(0o700)
    try:
        yield
    finally:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(here):  # noqa: PTH208 - a descriptor
                with suppress(OSError):  # whoever made the folder removes it, and says what is in the way
                    remove_all(here, os.fsencode(name))
        finally:
            os.close(here)


@contextmanager
def running(
    argv: Sequence[str], folder: Path, user: str, *, is_up: Callable[[], bool], patience: float, end: signal.Signals
) -> Iterator[None]:
    """A server from when it answers until the end of this, by the signal `end`. Raises ScratchError."""
    log = new_file(folder, "server.log", user)
    try:
        words = [*becoming(user), "sh", "-c", _TO_LOG, path_of(log), *argv]
        child = start(words, limits=Limits(time=0), environment=home_of(user), folder=str(folder), pass_fds=[log])
    except BaseException:
        os.close(log)
        raise
    try:
        deadline = time.monotonic() + patience
        while not is_up():
            if _has_ended(child.pidfd, _LOOK):
                raise ScratchError(f"{Path(argv[0]).name} ended as soon as it was started{_last_words(log)}")
            if time.monotonic() > deadline:
                raise ScratchError(f"{Path(argv[0]).name} does not answer after {patience:g} s{_last_words(log)}")
        yield
    finally:
        child.signal_group(end)
        if not _has_ended(child.pidfd, _END):
            child.signal_group(signal.SIGKILL)
        child.reap()
        os.close(log)


def _has_ended(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])


def _last_words(log: int) -> str:
    said = os.pread(log, _TAIL, max(0, os.fstat(log).st_size - _TAIL))
    lines = said.decode(errors="replace").splitlines()
    line = next((line for line in reversed(lines) if line.strip()), "")
    return f": {bounded(line.strip(), 300)}" if line else ""
