"""Folders below the agent's state folder, for whoever runs a backup: the agent, or root by hand.

The state folder belongs to the agent's user, who may be less than root. So nothing below it is reached by a link, and
what root makes there belongs to that user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def folder(state: Path, *names: str, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder `names` below `state`. Raises OSError; with `make` not where it is not there."""
    if make:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    here = os.open(state, _FOLDER)
    try:
        for name in names:
            if make:
                _make(here, name)
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)


def new_file(folder: int, name: str) -> int:
    """A descriptor of a file that was not there. Raises OSError, FileExistsError too."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    if os.geteuid() == 0:
        owner = os.fstat(folder)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def known_file(folder: int, name: str) -> int:
    """A descriptor for reading. Raises OSError."""
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)


def _make(above: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        owner = os.fstat(above)
        made = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        try:
            os.fchown(made, owner.st_uid, owner.st_gid)
        finally:
            os.close(made)
    os.fsync(above)
