"""Who is at work on a host from here, in words that tell one run from another.

    patch by ann@desk, rollout 20261122-031500-a1b2c3, process 4711.8675309.1f0c9ae2.77d05b31

Two runs of one person hold each other off as those of two do. What a killed run held is the next one's at once: a
rollout that is resumed knows itself by its id, and of a process of this machine it can be seen that it is gone.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path

_PROC = Path("/proc")
_MACHINE = Path("/etc/machine-id")
_HOLDER = re.compile(
    r"(?P<kind>.+?)(?:, rollout (?P<rollout>[^ ,]+))?, process (?P<process>[0-9]+(?:\.[0-9a-f]+){3})"
)
_rollout = ""


def belong(rollout: str) -> None:
    """From now on this process is a part of that rollout."""
    global _rollout
    _rollout = rollout


def holder(what: str) -> str:
    """Who does `what` in this process."""
    rollout = f", rollout {_rollout}" if _rollout else ""
    return f"{what} by {getpass.getuser()}@{platform.node()}{rollout}, process {_process()}"


def follows(who: str, other: str) -> bool:
    """Whether `who`, of this process, may go on in the place of `other`: it is the same, or the same rollout, or the
    same person's who did the same, and nobody any more. What another kind of work left may still go on on the host.
    """
    if other == who:
        return True
    mine, theirs = _HOLDER.fullmatch(who), _HOLDER.fullmatch(other)
    if mine is None or theirs is None or mine["kind"] != theirs["kind"]:
        return False
    if mine["rollout"] is not None and mine["rollout"] == theirs["rollout"]:
        return True
    return _is_gone(theirs["process"])


@cache
def _process() -> str:
    """This one: its number, when it was started in which boot, and where such numbers mean the same."""
    pid = os.getpid()
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()
        machine = _MACHINE.read_text() if _MACHINE.exists() else platform.node()
        names = (_PROC / "self/ns/pid").readlink()
        return f"{pid}.{_started(pid)}.{_short(boot)}.{_short(f'{machine} {names}')}"
    except OSError:
        # Without /proc nobody can tell later whether it is gone.
        return f"{pid}.0.0.{secrets.token_hex(4)}"


def _is_gone(process: str) -> bool:
    """Whether a process of this machine has ended. Of others that is not known."""
    pid, started, boot, place = process.split(".")
    _, _, this_boot, here = _process().split(".")
    return place == here and (boot != this_boot or _started(int(pid)) != started)


def _started(pid: int) -> str | None:
    """When, in ticks since the boot; None for one that is not there, or only waits to be forgotten."""
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else fields[18]


def _short(text: str) -> str:
    return sha256(text.strip().encode()).hexdigest()[:8]
