"""A control group for each program, where systemd gives the agent's own to it: nothing leaves one, not even a daemon.

A process group is left by setsid(2), which is how daemons begin. The unit has `Delegate=yes`, which makes its cgroup
the agent's to divide; elsewhere there are no groups, and what a program leaves in a session of its own lives on.
Version 2 of cgroups only: https://docs.kernel.org/admin-guide/cgroup-v2.html, https://systemd.io/CGROUP_DELEGATION/.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

ENTER = '{ echo 0 >"$1"; } 2>/dev/null; shift; exec "$@"'
"""For a shell: move itself into the group whose `cgroup.procs` is the first argument, and become the rest."""

_numbers = count(1)
_left: set[Path] = set()
"""Groups whose processes were killed and are not gone yet."""


class Group:
    """One program and all that it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def entrance(self) -> str:
        """The file by which a process comes in, when it writes 0 to it."""
        return str(self._folder / "cgroup.procs")

    def kill(self) -> None:
        """SIGKILL for every process in it."""
        try:
            (self._folder / "cgroup.kill").write_text("1")
        except OSError:  # Linux before 5.14: one that forks meanwhile is missed.
            with suppress(OSError):
                for pid in (self._folder / "cgroup.procs").read_text().split():
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(int(pid), signal.SIGKILL)

    def remove(self) -> None:
        """Remove it, now or when the last of its processes is gone."""
        _left.add(self._folder)
        for folder in list(_left):
            with suppress(OSError):
                folder.rmdir()
            if not folder.exists():
                _left.discard(folder)


def new_group() -> Group | None:
    """An empty group, or None where there can be none."""
    above = delegated()
    if above is None:
        return None
    folder = above / f"program-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
    except OSError:  # The limit on their number; without a group it runs all the same.
        return None
    return Group(folder)


@cache
def delegated(proc: Path = Path("/proc/self")) -> Path | None:
    """The folder of this process's cgroup, where it is its own to divide."""
    try:
        lines = (proc / "cgroup").read_text().splitlines()
        mounts = [line.split() for line in (proc / "mounts").read_text().splitlines()]
    except OSError:
        return None
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return None
    for _, place, kind, *_ in mounts:
        folder = Path(place, own)
        if kind == "cgroup2" and _is_delegated(folder):
            return folder
    return None


def _is_delegated(folder: Path) -> bool:
    try:
        marked = os.getxattr(folder, "user.delegate") == b"1"
    except OSError:
        return False
    return marked and os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
