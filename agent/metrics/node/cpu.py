"""Seconds that each processor spent in each mode, and how often heat slowed it."""

from __future__ import annotations

import os
import re

from agent.metrics.family import Family, counter
from agent.metrics.files import entries, text, whole
from agent.paths import System

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
GUESTS = {"user": 8, "nice": 9}
"""Mode to its column. Guests' seconds are in `user` and `nice` as well."""
_NAME = re.compile(r"cpu(\d+)")


def collect(system: System) -> list[Family]:
    """/proc/stat (proc(5)), and /sys/devices/system/cpu where the processor counts throttling."""
    seconds = counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.")
    guests = counter("node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.")
    hertz = os.sysconf("SC_CLK_TCK")
    for cpu, ticks in parse(text(system.path("proc", "stat"))).items():
        for mode, count in zip(MODES, ticks, strict=False):
            seconds.add(count / hertz, cpu=cpu, mode=mode)
        for mode, column in GUESTS.items():
            guests.add((ticks[column] if column < len(ticks) else 0) / hertz, cpu=cpu, mode=mode)
    return [seconds, guests, *_throttles(system)]


def parse(stat: str) -> dict[str, list[int]]:
    """Processor to its ticks, in the order of the columns."""
    found = {}
    for line in stat.splitlines():
        name, *fields = line.split()
        if match := _NAME.fullmatch(name):
            found[match[1]] = [int(field) for field in fields]
    return found


def _throttles(system: System) -> list[Family]:
    packages = counter("node_cpu_package_throttles_total", "Number of times this CPU package has been throttled.")
    cores = counter("node_cpu_core_throttles_total", "Number of times this CPU core has been throttled.")
    seen: set[tuple[int, ...]] = set()
    for folder in entries(system.path("sys", "devices", "system", "cpu")):
        if not _NAME.fullmatch(folder.name):
            continue
        package, core = (whole(folder / "topology" / name) for name in ("physical_package_id", "core_id"))
        if package is None or core is None:
            continue
        count = whole(folder / "thermal_throttle" / "core_throttle_count")
        if count is not None and (package, core) not in seen:
            seen.add((package, core))
            cores.add(count, package=str(package), core=str(core))
        count = whole(folder / "thermal_throttle" / "package_throttle_count")
        if count is not None and (package,) not in seen:
            seen.add((package,))
            packages.add(count, package=str(package))
    return [packages, cores]
