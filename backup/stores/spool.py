"""Files that are written before they are saved. What a killed process leaves behind, a later one removes.

Each is locked (flock) for as long as it is open, by whoever has it open, so that nobody takes it for a dead one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

PREFIX = "hostward-spool-"
"""Of their names: among the temporary files of all programs they tell whose they are."""
ABANDONED = 3600.0
"""Seconds without a write after which a file that nobody has open is nobody's."""
_cleaned: set[Path] = set()
"""Folders for temporary files that this process has looked through."""


def open_spool(folder: Path | None) -> tuple[BinaryIO, Path]:
    """A new empty file for reading and writing, mode 0600, in `folder` (made if missing) or where temp files go.

    Keep it open until it is saved. Raises OSError.
    """
    if folder is None:
        folder = Path(tempfile.gettempdir())
        if folder not in _cleaned:
            _cleaned.add(folder)
            clean_spool(folder, shared=True)
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(12)}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            make_folder(folder, 0o700)  # who closed the store last has removed it
            continue
        file = os.fdopen(descriptor, "w+b")
        with contextlib.suppress(OSError):  # some network file systems have no locks: then its age protects it
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file, path


def make_folder(folder: Path, mode: int) -> None:
    """Make it where it is missing. It may come and go meanwhile, over which `Path.mkdir(exist_ok=True)` stumbles.

    Raises OSError, for a link in its place too.
    """
    try:
        folder.mkdir(mode)
    except FileExistsError:
        if folder.is_symlink():
            raise


def clean_spool(folder: Path, *, now: float | None = None, shared: bool = False) -> None:
    """Remove what dead processes left in `folder`, in a `shared` one only those of this user.

    What cannot be removed stays; nothing is raised.
    """
    now = time.time() if now is None else now
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_abandoned(Path(entry.path), now, shared)


def _remove_abandoned(path: Path, now: float, shared: bool) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        if shared and found.st_uid != os.geteuid():
            return
        # A clock that went back makes it young, and it is kept.
        if now - found.st_mtime >= ABANDONED:
            path.unlink()
    finally:
        os.close(descriptor)
