"""Traffic of network interfaces, with errors and drops."""

from __future__ import annotations

from agent.metrics.family import Family, counter
from agent.metrics.files import text, whole
from agent.paths import System

RECEIVE = ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
TRANSMIT = ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")
COLUMNS = (*(f"receive_{name}" for name in RECEIVE), *(f"transmit_{name}" for name in TRANSMIT))
EXCLUDED = frozenset({"lo"})


def collect(system: System) -> list[Family]:
    """/proc/net/dev, and from /sys what that lacks."""
    names = (*COLUMNS, "receive_nohandler")
    families = {name: counter(f"node_network_{name}_total", f"Network device statistic {name}.") for name in names}
    for device, counts in parse(text(system.path("proc", "net", "dev"))).items():
        if device in EXCLUDED:
            continue
        for name, count in zip(COLUMNS, counts, strict=True):
            families[name].add(count, device=device)
        unhandled = whole(system.path("sys", "class", "net", device, "statistics", "rx_nohandler"))
        if unhandled is not None:
            families["receive_nohandler"].add(unhandled, device=device)
    return list(families.values())


def parse(table: str) -> dict[str, list[int]]:
    """Interface to its counts, in the order of COLUMNS. The first two lines are headings."""
    found = {}
    for line in table.splitlines()[2:]:
        device, _, counts = line.rpartition(":")
        found[device.strip()] = [int(count) for count in counts.split()]
    return found
