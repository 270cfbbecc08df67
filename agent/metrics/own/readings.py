"""What the checks measured at their last runs, each reading under its own name."""

from __future__ import annotations

import re

from agent.metrics.family import Family, gauge
from agent.metrics.told import Told

TAKEN = ("_total", "_count", "_sum", "_bucket", "_info", "_created")
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")


def collect(told: Told) -> list[Family]:
    """`disk_used_percent` is hostward_disk_used_percent, `cpu_count` is hostward_cpu_count_value.

    The label `check` says whose it is.
    """
    families: dict[str, Family] = {}
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for check, readings in sorted(told.readings.items()):
        for reading in readings:
            name = _name(reading.name)
            labels = {"check": check} | {_label(label): value for label, value in reading.labels.items()}
            key = (name, frozenset(labels.items()))
            if key in seen:
                continue  # Prometheus refuses a whole scrape in which a series is there twice
            seen.add(key)
            about = "Measured by the check that is named, at its last run."
            families.setdefault(name, gauge(name, about)).add(reading.value, **labels)
    return list(families.values())


def _name(reading: str) -> str:
    """Without an ending that would make a gauge look like a counter, or like a part of a histogram."""
    name = f"hostward_{_UNFIT.sub('_', reading)}"
    return f"{name}_value" if name.endswith(TAKEN) else name


def _label(name: str) -> str:
    """A name that Prometheus takes; what would be the agent's own is called as Prometheus calls it itself then."""
    name = _UNFIT.sub("_", name)
    if name == "check" or not name or name[0].isdigit() or name.startswith("__"):
        return f"exported_{name.lstrip('_')}"
    return name
