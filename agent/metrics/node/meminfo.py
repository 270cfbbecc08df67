"""Memory."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/meminfo (proc(5))."""
    return [
        gauge(f"node_memory_{name}", f"Memory information field {name}.", value)
        for name, value in parse(text(system.path("proc", "meminfo"))).items()
    ]


def parse(meminfo: str) -> dict[str, int]:
    """Field to its value, in bytes where the kernel says kB; `Active(anon)` is Active_anon_bytes."""
    found = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        value, *unit = rest.split()
        name = name.strip().replace("(", "_").replace(")", "")
        if unit:
            found[f"{name}_bytes"] = int(value) * 1024
        else:
            found[name] = int(value)
    return found
