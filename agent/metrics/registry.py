"""The names of all collectors, imported at the first scrape: a host that nobody scrapes loads none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from agent.metrics.family import Family
from agent.metrics.told import Told
from agent.paths import System

NODE: dict[str, str] = {
    "arp": "arp",
    "bonding": "bonding",
    "conntrack": "conntrack",
    "cpu": "cpu",
    "cpufreq": "cpufreq",
    "diskstats": "diskstats",
    "dmi": "dmi",
    "edac": "edac",
    "entropy": "entropy",
    "filefd": "filefd",
    "filesystem": "filesystem",
    "hwmon": "hwmon",
    "loadavg": "loadavg",
    "mdadm": "mdadm",
    "meminfo": "meminfo",
    "netclass": "netclass",
    "netdev": "netdev",
    "netstat": "netstat",
    "nvme": "nvme",
    "os": "os_release",
    "pressure": "pressure",
    "schedstat": "schedstat",
    "selinux": "selinux",
    "sockstat": "sockstat",
    "softnet": "softnet",
    "stat": "stat",
    "thermal_zone": "thermal_zone",
    "time": "time_of_day",
    "timex": "timex",
    "udp_queues": "udp_queues",
    "uname": "uname",
    "vmstat": "vmstat",
}
"""node_exporter's name of a collector to its module in agent/metrics/node."""
OWN: dict[str, str] = {
    "hostward_agent": "agent",
    "hostward_checks": "checks",
    "hostward_home": "home",
    "hostward_jobs": "jobs",
    "hostward_readings": "readings",
    "textfile": "textfile",
}
"""The agent's own collectors to their modules in agent/metrics/own. The last two take no name that another has."""


def node(name: str) -> Callable[[System], Iterable[Family]]:
    """A collector of NODE. Raises KeyError for another name."""
    collect: Callable[[System], Iterable[Family]] = import_module(f"agent.metrics.node.{NODE[name]}").collect
    return collect


def own(name: str) -> Callable[[Told], Iterable[Family]]:
    """A collector of OWN. Raises KeyError for another name."""
    collect: Callable[[Told], Iterable[Family]] = import_module(f"agent.metrics.own.{OWN[name]}").collect
    return collect
