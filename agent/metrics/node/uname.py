"""The kernel's name and version, and the host's."""

from __future__ import annotations

import os

from agent.metrics.family import Family, gauge
from agent.metrics.files import word
from agent.paths import System


def collect(system: System) -> list[Family]:
    """uname(2); the domain's name is what only /proc tells."""
    family = gauge("node_uname_info", "Labeled system information as provided by the uname system call.")
    named = os.uname()
    family.add(
        1,
        sysname=named.sysname,
        release=named.release,
        version=named.version,
        machine=named.machine,
        nodename=named.nodename,
        domainname=word(system.path("proc", "sys", "kernel", "domainname")) or "",
    )
    return [family]
