"""Frequencies of the processors, where the kernel governs them."""

from __future__ import annotations

import re

from agent.metrics.family import Family, gauge
from agent.metrics.files import entries, whole
from agent.paths import System

FILES = {
    "cpuinfo_cur_freq": ("node_cpu_frequency_hertz", "Current cpu thread frequency in hertz."),
    "cpuinfo_min_freq": ("node_cpu_frequency_min_hertz", "Minimum cpu thread frequency in hertz."),
    "cpuinfo_max_freq": ("node_cpu_frequency_max_hertz", "Maximum cpu thread frequency in hertz."),
    "scaling_cur_freq": ("node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
    "scaling_min_freq": ("node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz."),
    "scaling_max_freq": ("node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz."),
}
"""File to name and help; the files hold kHz (Documentation/admin-guide/pm/cpufreq.rst)."""
_NAME = re.compile(r"cpu(\d+)")


def collect(system: System) -> list[Family]:
    """/sys/devices/system/cpu/cpu*/cpufreq."""
    families = {file: gauge(name, about) for file, (name, about) in FILES.items()}
    for folder in entries(system.path("sys", "devices", "system", "cpu")):
        if match := _NAME.fullmatch(folder.name):
            for file, family in families.items():
                if (kilohertz := whole(folder / "cpufreq" / file)) is not None:
                    family.add(kilohertz * 1000, cpu=match[1])
    return list(families.values())
