"""File descriptors of the whole host."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/sys/fs/file-nr: allocated, free and the limit."""
    allocated, _, maximum = text(system.path("proc", "sys", "fs", "file-nr")).split()
    return [
        gauge("node_filefd_allocated", "File descriptor statistics: allocated.", int(allocated)),
        gauge("node_filefd_maximum", "File descriptor statistics: maximum.", int(maximum)),
    ]
