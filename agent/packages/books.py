"""Which package manager a host has, and when its books changed: a few calls of stat(2), and nothing else."""

from __future__ import annotations

from contextlib import suppress

from agent.paths import System
from wire.packages import Manager

APT = ("var/lib/dpkg/status", "var/lib/apt/extended_states")
RPM = (
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
)
"""rpm's database: today's, where it is kept by image, ndb's, and that of Berkeley DB."""


def manager(system: System) -> Manager | None:
    """Whose books there are. A Debian with rpm as a tool is apt's."""
    if _stamp(system, APT[0]):
        return "apt"
    return "dnf" if any(_stamp(system, path) for path in RPM) else None


def rpm_folder(system: System) -> str:
    """Where rpm's database is, below the system's root; a Debian's rpm would look elsewhere."""
    found = next((path for path in RPM if _stamp(system, path)), RPM[0])
    return "/" + found.rpartition("/")[0]


def stamp(system: System) -> str:
    """Another text when what is installed may be other than before; '' where there are no books."""
    kind = manager(system)
    if kind is None:
        return ""
    paths = APT if kind == "apt" else [each for path in RPM for each in (path, f"{path}-wal")]
    return " ".join([kind, *(_stamp(system, path) for path in paths)])


def _stamp(system: System, path: str) -> str:
    with suppress(OSError):
        found = system.path(path).stat()
        if found.st_size:
            return f"{found.st_ino}:{found.st_mtime_ns}:{found.st_size}"
    return ""
