"""The table of tracked connections: how full it is, and what it dropped."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, text, whole
from agent.paths import System

STATISTICS = {
    "found": "Number of searched entries which were successful.",
    "invalid": "Number of packets seen which can not be tracked.",
    "ignore": "Number of packets seen which are already connected to a conntrack entry.",
    "insert": "Number of entries inserted into the list.",
    "insert_failed": "Number of entries for which list insertion was attempted but failed.",
    "drop": "Number of packets dropped due to conntrack failure.",
    "early_drop": "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
    "search_restart": "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
}


def collect(system: System) -> list[Family]:
    """/proc/sys/net/netfilter, and /proc/net/stat/nf_conntrack: a line of hexadecimal counts for each processor."""
    settings = system.path("proc", "sys", "net", "netfilter")
    count, limit = whole(settings / "nf_conntrack_count"), whole(settings / "nf_conntrack_max")
    if count is None or limit is None:
        raise NoDataError
    sums = parse(text(system.path("proc", "net", "stat", "nf_conntrack")))
    return [
        gauge(
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
            count,
        ),
        gauge("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.", limit),
        *(
            gauge(f"node_nf_conntrack_stat_{name}", about, sums[name])
            for name, about in STATISTICS.items()
            if name in sums
        ),
    ]


def parse(table: str) -> dict[str, int]:
    """Column to the sum over all processors."""
    names, *lines = (line.split() for line in table.splitlines())
    return {name: sum(int(line[i], 16) for line in lines) for i, name in enumerate(names)}
