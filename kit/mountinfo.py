"""What is mounted where, of /proc/self/mountinfo (proc_pid_mountinfo(5)). No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_ESCAPED = re.compile(rb"\\([0-7]{3})")

_BLIND = frozenset(
    b"9p afs autofs binfmt_misc bpf ceph cgroup cgroup2 cifs coda configfs debugfs devpts efivarfs fuse fusectl gfs2 "
    b"glusterfs gpfs lustre mqueue nfs nfs4 nfsd ocfs2 orangefs proc pstore rpc_pipefs securityfs smb3 smbfs sysfs "
    b"tracefs virtiofs".split()
)
"""File systems in which something can change that this kernel was not asked to change, so that it tells nobody."""


class Mount(NamedTuple):
    """A file system at a place."""

    line: bytes
    """All that the kernel says of it."""
    point: bytes
    kind: bytes

    @property
    def is_blind(self) -> bool:
        """Whether inotify does not see all changes in it."""
        return self.kind in _BLIND or self.kind.startswith(b"fuse.")


def parse(mountinfo: bytes) -> list[Mount]:
    """Every mount, in the order in which they were made."""
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(b" - ")
        fields = before.split(b" ")
        if len(fields) >= 6:
            point = unescape(fields[4])
            mounts.append(Mount(line, point, after.split(b" ")[0]))
    return mounts


def unescape(field: bytes) -> bytes:
    """A field as it is: the kernel writes spaces and the like in octal."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)


def about(mounts: Iterable[Mount], roots: Sequence[bytes]) -> list[Mount]:
    """Those at, below or above one of the roots."""
    return [mount for mount in mounts if any(_related(mount.point, root) for root in roots)]


def blind_points(mounts: Iterable[Mount]) -> frozenset[bytes]:
    """Where file systems are whose changes cannot all be seen. Of several at one place the last one counts."""
    kinds = {mount.point: mount.is_blind for mount in mounts}
    return frozenset(point for point, blind in kinds.items() if blind)


def holding(mounts: Iterable[Mount], path: bytes) -> Mount | None:
    """The mount that a path is on: the nearest above it, and of several there the last one."""
    found = None
    for mount in mounts:
        if _within(path, mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _related(one: bytes, other: bytes) -> bool:
    return _within(one, other) or _within(other, one)


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
