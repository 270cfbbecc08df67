"""NVMe devices."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, entries, word
from agent.paths import System

LABELS = {"firmware_revision": "firmware_rev", "model": "model", "serial": "serial", "state": "state"}
"""Label to file."""


def collect(system: System) -> list[Family]:
    """/sys/class/nvme."""
    folders = entries(system.path("sys", "class", "nvme"))
    if not folders:
        raise NoDataError
    family = gauge("node_nvme_info", "Non-numeric data from /sys/class/nvme/<device>, value is always 1.")
    for folder in folders:
        family.add(1, device=folder.name, **{label: word(folder / file) or "" for label, file in LABELS.items()})
    return [family]
