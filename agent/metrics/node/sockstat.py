"""Sockets in use, and the memory that they hold."""

from __future__ import annotations

import os

from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/net/sockstat and sockstat6."""
    found: dict[str, dict[str, int]] = {}
    for file in ("sockstat", "sockstat6"):
        try:
            found |= parse(text(system.path("proc", "net", file)))
        except FileNotFoundError:  # a kernel without IPv6
            continue
    page = os.sysconf("SC_PAGE_SIZE")
    families = []
    for protocol, counts in found.items():
        if "mem" in counts:
            counts["mem_bytes"] = counts["mem"] * page
        for name, count in counts.items():
            about = f"Number of {protocol} sockets in state {name}."
            if protocol == "sockets":
                about = "Number of IPv4 sockets in use."
            families.append(gauge(f"node_sockstat_{protocol}_{name}", about, count))
    return families


def parse(table: str) -> dict[str, dict[str, int]]:
    """`TCP: inuse 4 orphan 0` as protocol to names and values."""
    found = {}
    for line in table.splitlines():
        protocol, _, rest = line.partition(":")
        words = rest.split()
        found[protocol] = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    return found
