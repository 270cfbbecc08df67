"""What a backup is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from backup.archive.devices import Devices
from backup.archive.scope import Scope
from backup.format.gotime import Moment
from backup.format.pack import PACK_SIZE
from backup.select.snapshots import BY_HOST_AND_PATHS, Grouping


@dataclass(frozen=True)
class Plan:
    """What is to be saved, and how."""

    targets: tuple[bytes, ...] = ()
    devices: Devices = field(default_factory=dict)
    """Where targets are read from snapshots of file systems."""
    scope: Scope = field(default_factory=Scope)
    excludes: tuple[str, ...] = ()
    """The patterns of the scope, as the snapshot names them."""
    tags: tuple[str, ...] = ()
    hostname: str = ""
    """Empty: this host's name."""
    moment: Moment | None = None
    """The time of the snapshot; None: when the run begins."""
    parent: str = ""
    """The snapshot to compare with; empty: the latest of the same group."""
    group_by: Grouping = BY_HOST_AND_PATHS
    force: bool = False
    """Read all files, whatever the parent says."""
    ignore_ctime: bool = False
    ignore_inode: bool = False
    """Implies ignore_ctime: where inodes are made up, that time is too."""
    with_atime: bool = False
    skip_if_unchanged: bool = False
    dry_run: bool = False
    pack_size: int = PACK_SIZE
    workers: int = 0
    """0: one for each processor that this process may use, at most 8."""
