"""One daemon for each state folder: a lock that the kernel drops with the process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Self

from agent.state import StateError
from kit.files import own_as_folder

FILE = "agent.lock"
PATIENCE = 1.0
"""Seconds to wait for a lock: `is_held` takes it for an instant, and a daemon that is ending is about to drop it."""


class Lock:
    """The lock of a state folder, held until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Raises StateError when another daemon holds it, or the folder cannot be written to."""
        path = folder / FILE
        try:
            # Should root run this, a link that the folder's owner put there leads nowhere.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            own_as_folder(path)
        except OSError as error:
            raise StateError(
                f"the state folder {folder} cannot be used: {error.strerror}; "
                "choose a folder that you can write to with --state-dir DIR, or run as the user it belongs to"
            ) from error
        deadline = time.monotonic() + PATIENCE
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StateError(f"an agent is already running on the state folder {folder}")
            time.sleep(0.05)
        return cls(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let another daemon have the folder. The file stays: removing it would let two hold two of them."""
        os.close(self._descriptor)


def is_held(folder: Path) -> bool:
    """Whether a daemon runs on this folder now. Raises OSError when the lock cannot be looked at."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
