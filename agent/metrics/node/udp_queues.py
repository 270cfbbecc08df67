"""What waits in the queues of UDP sockets."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/net/udp and udp6."""
    family = gauge("node_udp_queues", "Number of allocated memory in the kernel for UDP datagrams in bytes.")
    for version, file in (("v4", "udp"), ("v6", "udp6")):
        try:
            sent, received = parse(text(system.path("proc", "net", file)))
        except FileNotFoundError:  # a kernel without it
            continue
        family.add(sent, queue="tx", ip=version)
        family.add(received, queue="rx", ip=version)
    if not family.samples:
        raise NoDataError
    return [family]


def parse(table: str) -> tuple[int, int]:
    """Bytes to send and bytes received, over all sockets; the fifth column is `tx:rx` in hexadecimal digits."""
    queues = [line.split()[4].split(":") for line in table.splitlines()[1:]]
    return sum(int(sent, 16) for sent, _ in queues), sum(int(received, 16) for _, received in queues)
