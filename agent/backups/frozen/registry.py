"""The names of all systems of snapshots, imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from agent.backups.frozen.contract import System, Volume
from agent.backups.frozen.mounts import Mounted

SYSTEMS: dict[str, str] = {
    "btrfs": "agent.backups.frozen.btrfs",
    "zfs": "agent.backups.frozen.zfs",
    "lvm": "agent.backups.frozen.lvm",
}
"""Name, as a job's `snapshot` has it, to the module. `auto` asks them in this order: a btrfs on a logical volume is
frozen by btrfs, whose copy on another device would have the same identity twice."""


def load(name: str) -> System:
    """The module. Raises KeyError."""
    return cast(System, import_module(SYSTEMS[name]))


def offered(mounted: Mounted, how: str) -> tuple[str, Volume] | None:
    """The system that makes snapshots of a mount, and its volume; `how` is one system's name, or `auto`."""
    for name in SYSTEMS if how == "auto" else [how]:
        volume = load(name).volume(mounted)
        if volume is not None:
            return name, volume
    return None
