"""The host's services, and those that run what was replaced."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from deploys.facts.kernels import KERNELS, waits
from deploys.rules.services import Service

MAPS = r"^[0-9a-f-]+ ..x. [^ ]+ [^ ]+ [0-9]+ +/(usr|lib[^/]*|bin|sbin|opt)/.* \(deleted\)$"
"""In /proc/PID/maps, code of a file that is no longer there."""


SERVICES = "systemctl show --all -p Id -p ActiveState -p SubState -p UnitFileState -p TriggeredBy '*.service'"
"""Prints what `parse_services` reads."""
STALE = (
    f"grep -lsE '{MAPS}' /proc/[0-9]*/maps | "
    'while read -r maps; do cat "${maps%maps}cgroup" 2>/dev/null; done; '
    "[ ! -e /run/reboot-required ] || echo reboot; "
    f"echo kernels $({KERNELS})"
)
"""Prints what `parse_stale` reads: it looks at the memory of all processes, some of which end meanwhile."""


class Stale(msgspec.Struct, frozen=True):
    """What an update has not reached yet."""

    units: tuple[str, ...]
    """Units whose processes run what was replaced on disk."""
    reboot: bool
    """Whether packages ask for a reboot, or a newer kernel waits for one."""


def parse_services(lines: Iterable[str]) -> dict[str, Service]:
    """Of `systemctl show`: blocks of `Key=Value` with an empty line between them. By name."""
    found = {}
    block: dict[str, str] = {}
    for line in [*lines, ""]:
        key, _, value = line.partition("=")
        if key:
            block[key] = value
        elif block:
            if name := block.get("Id"):
                found[name] = Service(
                    active=block.get("ActiveState", ""),
                    sub=block.get("SubState", ""),
                    enabled=block.get("UnitFileState", ""),
                    triggered=bool(block.get("TriggeredBy")),
                )
            block = {}
    return found


def parse_stale(lines: Iterable[str]) -> Stale:
    """Of lines of /proc/PID/cgroup, the innermost unit of each; `reboot` where one is asked for; and the kernels."""
    units, reboot = set(), False
    for line in lines:
        if line.startswith("kernels "):
            reboot |= waits(line.removeprefix("kernels "))
            continue
        reboot |= line == "reboot"
        parts = line.rpartition(":")[2].split("/")
        unit = next((part for part in reversed(parts) if part.endswith((".service", ".scope"))), None)
        if unit:
            units.add(unit)
    return Stale(tuple(sorted(units)), reboot)
