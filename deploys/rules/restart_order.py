"""In which order services are restarted, and which cannot be while the host runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

LASTING = ("dbus.service", "dbus-broker.service", "systemd-logind.service", "init.scope")
"""What takes sessions or the whole host with it when it is restarted: only a reboot renews it."""
PASSING = ("user@*.service", "session-*.scope", "*.scope", "ssh@*.service", "sshd@*.service", "getty@*.service",
           "serial-getty@*.service", "console-getty.service", "run-*.service", "hostward-patch.service",
           "hostward-jobs@*.service")  # fmt: skip
"""What ends by itself, with its session or its work."""


class Restarts(msgspec.Struct, frozen=True):
    """What follows from the units that run what was replaced."""

    restart: tuple[str, ...]
    """In this order."""
    reboot: tuple[str, ...]
    """Only a reboot renews these."""
    left: tuple[str, ...]
    """The administrator keeps these as they are."""


def plan(units: Iterable[str], order: Sequence[str], kept: Sequence[str]) -> Restarts:
    """Sort `units` out.

    `order` are names as patterns of the shell: units of the first pattern come first, those of none last, and by name
    where that leaves a choice. `kept` are patterns of what is never restarted here.
    """
    restart, reboot, left = [], [], []
    for unit in sorted(set(units)):
        if _matches(unit, LASTING):
            reboot.append(unit)
        elif _matches(unit, kept):
            left.append(unit)
        elif not _matches(unit, PASSING):
            restart.append(unit)
    restart.sort(key=lambda unit: _rank(unit, order))
    return Restarts(tuple(restart), tuple(reboot), tuple(left))


def _matches(unit: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in patterns)


def _rank(unit: str, order: Sequence[str]) -> int:
    return next((number for number, pattern in enumerate(order) if fnmatchcase(unit, pattern)), len(order))
