"""Snapshots of ZFS: `DATASET@hostward-…`. Those of one pool are of one moment. See zfs-snapshot(8)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agent.backups.frozen.contract import Volume
from agent.backups.frozen.mounts import Mounted
from agent.backups.frozen.names import owner_of
from agent.backups.programs import collect


def volume(mounted: Mounted) -> Volume | None:
    """The data set, which is what is mounted; a snapshot of one that is mounted itself is none."""
    if mounted.kind != "zfs" or "@" in mounted.source:
        return None
    return Volume(mounted.source, mounted, os.fsdecode(mounted.root.lstrip(b"/")))


def nested(mounted: Mounted) -> list[Mounted]:
    """None: each is mounted where it is seen."""
    return []


def freeze(volumes: Sequence[Volume], names: Sequence[str], size: int | None) -> None:
    """Those of a pool by one command, which makes all of them in one transaction."""
    pools: dict[str, list[str]] = {}
    for each, name in zip(volumes, names, strict=True):
        pools.setdefault(each.place.partition("/")[0], []).append(f"{each.place}@{name}")
    for places in pools.values():
        collect(["zfs", "snapshot", *places])


def show(volume: Volume, name: str, folder: Path) -> Path:
    """Mounted: `.zfs/snapshot` is mounted on demand, and not in a mount namespace of its own."""
    collect(["mount", "-t", "zfs", "-o", "ro,nosuid,nodev", f"{volume.place}@{name}", str(folder)])
    return folder


def require_good(volume: Volume, name: str) -> None:
    """A snapshot of ZFS holds until it is destroyed."""


def names(volume: Volume) -> list[str]:
    """Of this data set alone."""
    listed = collect(["zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-d", "1", volume.place])
    found = [line.partition("@")[2] for line in listed.decode().splitlines()]
    return [name for name in found if owner_of(name)]


def remove(volume: Volume, name: str) -> None:
    """The snapshot alone: `destroy` of a data set would be all of it."""
    assert owner_of(name)
    collect(["zfs", "destroy", f"{volume.place}@{name}"])
