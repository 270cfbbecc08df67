"""Temperatures that the kernel acts on, and what it cools with."""

from __future__ import annotations

import re

from agent.metrics.family import Family, gauge
from agent.metrics.files import entries, whole, word
from agent.paths import System

_NAME = re.compile(r"(thermal_zone|cooling_device)(\d+)")


def collect(system: System) -> list[Family]:
    """/sys/class/thermal (Documentation/driver-api/thermal/sysfs-api.rst)."""
    zones = gauge("node_thermal_zone_temp", "Zone temperature in Celsius")
    current = gauge("node_cooling_device_cur_state", "Current throttle state of the cooling device")
    maximum = gauge("node_cooling_device_max_state", "Maximum throttle state of the cooling device")
    for folder in entries(system.path("sys", "class", "thermal")):
        if not (match := _NAME.fullmatch(folder.name)):
            continue
        kind, number = word(folder / "type") or "", match[2]
        if match[1] == "thermal_zone":
            if (millidegrees := whole(folder / "temp")) is not None:
                zones.add(millidegrees / 1000, zone=number, type=kind)
            continue
        for family, file in ((current, "cur_state"), (maximum, "max_state")):
            if (state := whole(folder / file)) is not None:
                family.add(state, name=number, type=kind)
    return [zones, current, maximum]
