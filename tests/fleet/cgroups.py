"""A control group of its own for each host: several systemds in one would take each other's services for theirs.

It also says which processes are the host's: all of them, whatever became of the one that started it.
"""

from __future__ import annotations

import os
import shlex
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.fleet.command import FleetError

PATIENCE = 60.0
"""Seconds that killed processes may take to end where others keep the disk busy."""


def make(name: str) -> list[Path]:
    """Make a host's groups, below the one that this process is in. Raises FleetError where that is not allowed."""
    groups = [parent / name for parent in _own()]
    if not groups:
        raise FleetError("no control groups are mounted at /sys/fs/cgroup")
    for group in groups:
        try:
            group.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FleetError(f"the control group {group} cannot be made: {error.strerror}") from error
    return groups


def joining(groups: list[Path]) -> str:
    """Lines for a shell, which belongs to the groups from then on, with all that it becomes and starts."""
    return "".join(f"echo $$ >{shlex.quote(str(group / 'cgroup.procs'))}\n" for group in groups)


def remove(group: Path) -> None:
    """End all processes of a group, and remove it with those below it. Raises FleetError when they do not end."""
    deadline = time.monotonic() + PATIENCE
    while group.exists():
        folders = sorted([group, *group.rglob("*/")], key=lambda path: len(path.parts), reverse=True)
        for folder in folders:
            with suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            raise FleetError(f"the processes in {group} do not end")
        time.sleep(0.01)


def _own() -> list[Path]:
    """Where this process is in the hierarchies that systemd uses: version 2's, and its own of version 1.

    Where both are mounted the path in version 2's counts in both, as it does for systemd.
    """
    paths = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "name=systemd"):
            paths[controllers] = path.lstrip("/")
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [
        Path(place) / paths.get("", paths.get("name=systemd", ""))
        for _, place, kind, options, *_ in mounts
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(","))
    ]
