"""Paging and swapping, and processes that were killed for lack of memory."""

from __future__ import annotations

import re

from agent.metrics.family import Family, untyped
from agent.metrics.files import text
from agent.paths import System

INCLUDED = re.compile(r"oom_kill|pgpg|pswp|pg.*fault")


def collect(system: System) -> list[Family]:
    """/proc/vmstat; of some two hundred, those that node_exporter shows by default."""
    families = []
    for line in text(system.path("proc", "vmstat")).splitlines():
        name, _, value = line.partition(" ")
        if INCLUDED.match(name):
            families.append(untyped(f"node_vmstat_{name}", f"/proc/vmstat information field {name}.", int(value)))
    return families
