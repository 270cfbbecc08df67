"""Whether SELinux is enabled, and what it does."""

from __future__ import annotations

import re

from agent.metrics.family import Family, gauge
from agent.metrics.files import whole, word
from agent.paths import System

MODES = {"enforcing": 1, "permissive": 0, "disabled": -1}
_CONFIGURED = re.compile(r"^\s*SELINUX\s*=\s*(\w+)\s*$", re.MULTILINE)


def collect(system: System) -> list[Family]:
    """/sys/fs/selinux, and /etc/selinux/config."""
    current = whole(system.path("sys", "fs", "selinux", "enforce"))
    enabled = gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false", int(current is not None))
    if current is None:
        return [enabled]
    match = _CONFIGURED.search(word(system.path("etc", "selinux", "config")) or "")
    configured = MODES.get(match[1], -1) if match else -1
    return [
        enabled,
        gauge("node_selinux_config_mode", "Configured SELinux enforcement mode", configured),
        gauge("node_selinux_current_mode", "Current SELinux enforcement mode", current),
    ]
