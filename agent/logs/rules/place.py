"""Where the state of rules for logs is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.paths import state_folder

ROOTS: Final = Path("/var/lib/hostward-logs")
STATE: Final = "status"
"""When each log was last rotated, in logrotate's format 2."""
_LOCK: Final = "lock"


def folder(given: Path | None) -> Path:
    """`logs` in --state-dir; else root's own folder, or `logs` in that of who runs this.

    It is not in /var/lib/hostward, which belongs to the agent's user: whoever has a folder can put another one in its
    place, and root would follow.
    """
    if given is None and os.geteuid() == 0:
        return ROOTS
    return state_folder(given) / "logs"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one who rotates by rules with the state in `folder`; waits for others. Raises OSError.

    The state file itself would not do: it is replaced, and whoever waited for the old one would hold nothing.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
