"""Folders for what is written only for a while, which the next run removes where this one was killed.

Who has one holds a lock on it (flock(2)), which the kernel drops with the process: a folder without was left behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backup.restore.below import remove_all

_PREFIX = "hostward-temporary-"
_ON_A_DISK = "/var/tmp"  # noqa: S108  # nosec B108  # folders in it are made by mkdir(2)
_ENTRY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def place() -> Path:
    """Where such folders are made: $TMPDIR, else /var/tmp, which is on a disk."""
    return Path(os.environ.get("TMPDIR") or _ON_A_DISK)


@contextmanager
def temporary_folder(above: Path | None = None, *, mode: int = 0o700) -> Iterator[Path]:
    """A new folder, removed with all that is in it, be it read-only or deeper than a path can say.

    It is for this user alone; with a `mode` of 0711 others get through to a folder in it that is theirs. Removes what
    was left in `above` by runs of this user that were killed. Raises OSError, also where it could not be removed.
    """
    above = above or place()
    root = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_left(root)
        name, held = _make(root, mode)
        try:
            yield above / name
        finally:
            try:
                _remove(root, name)
            finally:
                os.close(held)
    finally:
        os.close(root)


def _remove_left(root: int) -> None:
    """Those of this user that nobody holds. What cannot be removed stays."""
    for name in os.listdir(root):
        if not name.startswith(_PREFIX):
            continue
        with suppress(OSError):  # not a folder, or another removes it at the same time
            held = os.open(name, _OPEN_FOLDER, dir_fd=root)
            try:
                if os.fstat(held).st_uid == os.geteuid():
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(root, name)
            finally:
                os.close(held)


def _make(root: int, mode: int) -> tuple[str, int]:
    while True:
        name = _PREFIX + secrets.token_hex(4)
        try:
            os.mkdir(name, 0o700, dir_fd=root)
            held = os.open(name, _OPEN_FOLDER, dir_fd=root)
        except (FileExistsError, FileNotFoundError):
            continue  # one that was left; or another took it for that before it was locked
        fcntl.flock(held, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.stat(name, dir_fd=root, follow_symlinks=False).st_ino == os.fstat(held).st_ino:
                os.fchmod(held, mode)  # whatever the umask
                return name, held
        os.close(held)


def _remove(root: int, name: str) -> None:
    try:
        remove_all(root, os.fsencode(name))
    except PermissionError:
        _open_up(root, name)
        remove_all(root, os.fsencode(name))


def _open_up(root: int, name: str) -> None:
    """Let who owns read-only folders remove what is in them."""
    for _, folders, _, here in os.fwalk(name, dir_fd=root):
        for folder in folders:
            with suppress(NotADirectoryError):  # a link to one
                entry = os.open(folder, _ENTRY, dir_fd=here)
                try:
                    Path(f"/proc/self/fd/{entry}").chmod(0o700)
                finally:
                    os.close(entry)
