"""Packets that each processor took from the network's queue, and those that it dropped."""

from __future__ import annotations

from agent.metrics.family import Family, counter
from agent.metrics.files import text
from agent.paths import System

INDEX = 12
"""The column with the processor's number; before Linux 5.14 the line's own number is all there is."""


def collect(system: System) -> list[Family]:
    """/proc/net/softnet_stat: hexadecimal columns."""
    processed = counter("node_softnet_processed_total", "Number of processed packets")
    dropped = counter("node_softnet_dropped_total", "Number of dropped packets")
    squeezed = counter("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota")
    for number, line in enumerate(text(system.path("proc", "net", "softnet_stat")).splitlines()):
        fields = [int(field, 16) for field in line.split()]
        cpu = str(fields[INDEX] if len(fields) > INDEX else number)
        for family, count in zip((processed, dropped, squeezed), fields, strict=False):
            family.add(count, cpu=cpu)
    return [processed, dropped, squeezed]
