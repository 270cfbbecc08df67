"""The kernel's pool of randomness."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/sys/kernel/random (random(4))."""
    folder = system.path("proc", "sys", "kernel", "random")
    return [
        gauge("node_entropy_available_bits", "Bits of available entropy.", int(text(folder / "entropy_avail"))),
        gauge("node_entropy_pool_size_bits", "Bits of entropy pool.", int(text(folder / "poolsize"))),
    ]
