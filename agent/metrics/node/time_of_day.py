"""The host's clock, its time zone and what it is driven by."""

from __future__ import annotations

import time

from agent.metrics.family import Family, gauge
from agent.metrics.files import entries, word
from agent.paths import System


def collect(system: System) -> list[Family]:
    """The clock, and /sys/devices/system/clocksource."""
    now = time.time()
    local = time.localtime(now)
    zone = gauge("node_time_zone_offset_seconds", "System time zone offset in seconds.")
    zone.add(local.tm_gmtoff, time_zone=local.tm_zone)
    where = "/sys/devices/system/clocksource"
    available = gauge("node_time_clocksource_available_info", f"Available clocksources read from '{where}'.")
    current = gauge("node_time_clocksource_current_info", f"Current clocksource read from '{where}'.")
    for folder in entries(system.path("sys", "devices", "system", "clocksource")):
        if not folder.name.startswith("clocksource"):
            continue
        device = folder.name.removeprefix("clocksource")
        for family, file in ((available, "available_clocksource"), (current, "current_clocksource")):
            for source in (word(folder / file) or "").split():
                family.add(1, device=device, clocksource=source)
    return [
        gauge("node_time_seconds", "System time in seconds since epoch (1970).", now),
        zone,
        available,
        current,
    ]
