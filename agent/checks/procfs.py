"""psutil on the host's own /proc, or on the fixture tree that stands in for it."""

from __future__ import annotations

from types import ModuleType

from agent.paths import System


def psutil_on(system: System) -> ModuleType:
    """psutil, made to read `system`: PROCFS_PATH is what it documents for that, one for the whole process."""
    import psutil  # As heavy as all that it takes to check a configuration, which needs the options of checks only.

    psutil.PROCFS_PATH = str(system.path("proc"))
    return psutil
