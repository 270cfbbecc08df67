"""Names of snapshots, by which a later run knows those of dead ones. Pure but for `owner_of_this`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

PREFIX = "hostward-"

_NAME = re.compile(r"hostward-([0-9a-f]{8})-(\d+)-(\d+)-\d+")


class Owner(NamedTuple):
    """A process, which no other one ever is."""

    boot: str
    """The first digits of the id of the boot."""
    pid: int
    started: int
    """Ticks after the boot."""


def name_of(owner: Owner, number: int) -> str:
    """The name of the owner's snapshot of this number, which LVM, btrfs and ZFS all take."""
    return f"{PREFIX}{owner.boot}-{owner.pid}-{owner.started}-{number}"


def owner_of(name: str) -> Owner | None:
    """None for what is no snapshot of a run."""
    match = _NAME.fullmatch(name)
    return Owner(match[1], int(match[2]), int(match[3])) if match else None


def this_owner() -> Owner:
    """This process."""
    started = started_at(os.getpid())
    assert started is not None
    return Owner(boot(), os.getpid(), started)


def is_alive(owner: Owner) -> bool:
    """Whether it runs."""
    return owner.boot == boot() and owner.started == started_at(owner.pid)


def boot() -> str:
    """Of this boot, the first digits of its id."""
    return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]


def started_at(pid: int) -> int | None:
    """In ticks after the boot (proc_pid_stat(5), field 22); None for a process that is not there, or is over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in (b"Z", b"X") else None
