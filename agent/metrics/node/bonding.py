"""Bonded network interfaces: how many slaves each has, and how many of them carry."""

from __future__ import annotations

from pathlib import Path

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, word
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/sys/class/net/bonding_masters and the folders that it names (Documentation/networking/bonding.rst)."""
    net = system.path("sys", "class", "net")
    masters = word(net / "bonding_masters")
    if masters is None:
        raise NoDataError
    active = gauge("node_bonding_active", "Number of active slaves per bonding interface.")
    slaves = gauge("node_bonding_slaves", "Number of configured slaves per bonding interface.")
    for master in masters.split():
        named = (word(net / master / "bonding" / "slaves") or "").split()
        states = [_state(net / master, slave) for slave in named]
        slaves.add(len(named), master=master)
        active.add(states.count("up"), master=master)
    return [active, slaves]


def _state(folder: Path, slave: str) -> str | None:
    # The link's name changed with Linux 3.13.
    for link in (f"lower_{slave}", f"slave_{slave}"):
        if (found := word(folder / link / "bonding_slave" / "mii_status")) is not None:
            return found
    return None
