"""Load averages."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/loadavg."""
    loads = text(system.path("proc", "loadavg")).split()
    return [
        gauge(f"node_load{minutes}", f"{minutes}m load average.", float(load))
        for minutes, load in zip((1, 5, 15), loads, strict=False)
    ]
