"""What rules are judged by, as the host has it."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path

from agent.config.logs import LogOptions
from agent.logs.rotate.facts import is_open_to_others
from agent.logs.rules.judge import Log
from agent.logs.rules.sweep import free_in


class UnfitError(Exception):
    """A log that is not rotated; the message says why."""


def look(options: LogOptions, log: str) -> tuple[Log, os.stat_result]:
    """What is known of a log. Raises FileNotFoundError, OSError, and UnfitError for what is never rotated."""
    folder = log.rpartition("/")[0] or "/"
    status = os.lstat(log)
    if stat.S_ISLNK(status.st_mode):
        raise UnfitError("it is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise UnfitError("it is no regular file")
    if status.st_nlink > 1:
        raise UnfitError(f"it has {status.st_nlink} names (hard links)")
    if options.su is None and os.geteuid() == 0 and is_open_to_others(Path(folder).stat()):
        raise UnfitError("others than root may write to its folder, and no su says who rotates there")
    return Log(status.st_size, free_for(options, log), booted()), status


def free_for(options: LogOptions, log: str) -> int | None:
    """Bytes that are free where a log is; None where the rule does not ask, or nobody knows."""
    if options.low_disk is None:
        return None
    try:
        return free_in(log.rpartition("/")[0] or "/")
    except OSError:
        return None


def is_short(options: LogOptions, logs: list[str]) -> bool:
    """Whether a file system of the logs has less free than `low_disk`."""
    low = options.low_disk
    return low is not None and any((free := free_for(options, log)) is not None and free < low for log in logs)


@cache
def booted() -> float:
    """When the host was started, in seconds since the epoch."""
    lines = Path("/proc/stat").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("btime "))


def host() -> str:
    """By which name its turns are spread."""
    return os.uname().nodename
