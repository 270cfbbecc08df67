"""psutil on the host's own /proc, or on the fixture tree that stands in for it."""

from __future__ import annotations

import psutil

from agent.paths import System


def look_at(system: System) -> None:
    """Make psutil read `system`: PROCFS_PATH is what it documents for that, one for the whole process."""
    psutil.PROCFS_PATH = str(system.path("proc"))
