"""Entries of the ARP table by device."""

from __future__ import annotations

from collections import Counter

from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/net/arp (proc(5))."""
    family = gauge("node_arp_entries", "ARP entries by device")
    for device, count in parse(text(system.path("proc", "net", "arp"))).items():
        family.add(count, device=device)
    return [family]


def parse(table: str) -> Counter[str]:
    """Device to its number of entries. The first line holds the columns' names."""
    lines = (line.split() for line in table.splitlines()[1:])
    return Counter(fields[5] for fields in lines if len(fields) == 6)
