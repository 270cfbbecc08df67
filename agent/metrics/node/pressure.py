"""Time that was lost in waiting for processors, memory and disks."""

from __future__ import annotations

import re

from agent.metrics.family import Family, counter
from agent.metrics.files import NoDataError, text
from agent.paths import System

SHOWN = (
    ("cpu", "some", "cpu_waiting", "Total time in seconds that processes have waited for CPU time"),
    ("io", "some", "io_waiting", "Total time in seconds that processes have waited due to IO congestion"),
    ("io", "full", "io_stalled", "Total time in seconds no process could make progress due to IO congestion"),
    ("memory", "some", "memory_waiting", "Total time in seconds that processes have waited for memory"),
    (
        "memory",
        "full",
        "memory_stalled",
        "Total time in seconds no process could make progress due to memory congestion",
    ),
)
_TOTAL = re.compile(r"^(some|full) .*\btotal=(\d+)$", re.MULTILINE)


def collect(system: System) -> list[Family]:
    """/proc/pressure (Documentation/accounting/psi.rst)."""
    try:
        totals = {name: parse(text(system.path("proc", "pressure", name))) for name in ("cpu", "io", "memory")}
    except OSError:  # not built in, or turned off: then the files are there and cannot be read
        raise NoDataError from None
    return [
        counter(f"node_pressure_{name}_seconds_total", about, totals[resource][line])
        for resource, line, name, about in SHOWN
        if line in totals[resource]
    ]


def parse(pressure: str) -> dict[str, float]:
    """`some` and `full` to seconds."""
    return {line: int(microseconds) / 1e6 for line, microseconds in _TOTAL.findall(pressure)}
