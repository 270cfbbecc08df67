"""Counters of the network's protocols."""

from __future__ import annotations

import re
from contextlib import suppress

from agent.metrics.family import Family, untyped
from agent.metrics.files import text
from agent.paths import System

INCLUDED = re.compile(
    r"(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))"
)
"""Of some four hundred, those that node_exporter shows by default."""


def collect(system: System) -> list[Family]:
    """/proc/net/netstat, snmp and snmp6."""
    net = system.path("proc", "net")
    found = parse(text(net / "netstat")) | parse(text(net / "snmp"))
    with suppress(FileNotFoundError):  # a kernel without IPv6
        found |= parse6(text(net / "snmp6"))
    return [
        untyped(f"node_netstat_{name}", f"Statistic {name.replace('_', '')}.", value)
        for name, value in found.items()
        if INCLUDED.fullmatch(name)
    ]


def parse(table: str) -> dict[str, int]:
    """Pairs of lines, `Tcp: names` and `Tcp: values`, as `Tcp_name` to value."""
    found = {}
    lines = table.splitlines()
    for heading, row in zip(lines[::2], lines[1::2], strict=False):
        protocol, _, names = heading.partition(":")
        for name, value in zip(names.split(), row.partition(":")[2].split(), strict=True):
            found[f"{protocol}_{name}"] = int(value)
    return found


def parse6(table: str) -> dict[str, int]:
    """A name and a value on each line, `Ip6InOctets`, as `Ip6_InOctets` to value."""
    found = {}
    for line in table.splitlines():
        name, _, value = line.partition("\t")
        protocol, six, rest = name.partition("6")
        if six:
            found[f"{protocol}6_{rest.strip()}"] = int(value)
    return found
