"""Snapshots of btrfs: read-only subvolumes beside what they are of, `.hostward-…` in its topmost folder.

A snapshot holds a subvolume alone; those within it are volumes of their own, found by `nested`. See
btrfs-subvolume(8).
"""

from __future__ import annotations

import fcntl
import os
import posixpath
import struct
from collections.abc import Sequence
from pathlib import Path

from agent.backups.frozen.contract import FrozenError, Volume
from agent.backups.frozen.mounts import Mounted, within
from agent.backups.frozen.names import owner_of
from agent.backups.programs import collect

_ROOT = 256
"""The inode of a subvolume's topmost folder."""
_DESTROY = 0x5000940F
"""BTRFS_IOC_SNAP_DESTROY, for `struct btrfs_ioctl_vol_args` (linux/btrfs.h)."""
_ARGUMENTS = struct.Struct("=q4088s")


def volume(mounted: Mounted) -> Volume | None:
    """The subvolume that is mounted, or that is seen as a folder."""
    if mounted.kind != "btrfs" or Path(os.fsdecode(mounted.point)).stat().st_ino != _ROOT:
        return None
    return Volume(os.fsdecode(mounted.point), mounted)


def nested(mounted: Mounted) -> list[Mounted]:
    """The subvolumes that are folders below a mount, as if each was mounted there."""
    listed = collect(["btrfs", "subvolume", "list", os.fsdecode(mounted.point)])
    return parse_list(listed, mounted)


def parse_list(listed: bytes, mounted: Mounted) -> list[Mounted]:
    """From `btrfs subvolume list`, whose paths begin at the topmost subvolume of the file system. Pure."""
    found = []
    for line in listed.splitlines():
        _, marker, path = line.partition(b" path ")
        path = b"/" + path
        if not marker or path == mounted.root or not within(path, mounted.root):
            continue
        if owner_of(os.fsdecode(path.rpartition(b"/")[2].removeprefix(b"."))) is not None:
            continue
        point = mounted.point.rstrip(b"/") + path[len(mounted.root.rstrip(b"/")) :]
        found.append(mounted._replace(point=point, root=path))
    return found


def freeze(volumes: Sequence[Volume], names: Sequence[str], size: int | None) -> None:
    """One after the other."""
    for each, name in zip(volumes, names, strict=True):
        collect(["btrfs", "subvolume", "snapshot", "-r", each.place, _place(each, name)])


def show(volume: Volume, name: str, folder: Path) -> Path:
    """It is a folder already."""
    return Path(_place(volume, name))


def require_good(volume: Volume, name: str) -> None:
    """A snapshot of btrfs holds until it is removed; a full file system refuses what is written, not what is kept."""


def names(volume: Volume) -> list[str]:
    """By the folders in the volume's topmost one."""
    found = [entry.name.removeprefix(".") for entry in os.scandir(volume.place) if entry.name.startswith(".")]
    return [name for name in found if owner_of(name)]


def remove(volume: Volume, name: str) -> None:
    """Its room is freed in the background.

    By the kernel's call, which takes a name in an open folder: `btrfs subvolume delete` follows links, and whoever
    owns the volume can make one that is named as a snapshot and leads to a subvolume of somebody else's.
    """
    try:
        folder = os.open(volume.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(folder, _DESTROY, bytearray(_ARGUMENTS.pack(0, f".{name}".encode())))
        finally:
            os.close(folder)
    except OSError as error:
        raise FrozenError(error.strerror) from None


def _place(volume: Volume, name: str) -> str:
    return posixpath.join(volume.place, f".{name}")
