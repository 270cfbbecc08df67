"""What is mounted and what should be: pure readers of /proc/self/mountinfo and /etc/fstab."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")

REMOTE = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "fuseblk", "gfs2", "glusterfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "virtiofs"}
)
"""File systems whose answer depends on another machine, or on a program that may hang."""

_IMAGES = frozenset(["cramfs", "erofs", "fuse.snapfuse", "fuse.squashfuse", "iso9660", "romfs", "squashfs", "udf"])
"""Full and read-only from the day they are made."""

_WITHOUT_DEVICE = frozenset(["bcachefs", "btrfs", "ubifs", "zfs"])
"""Real file systems whose source may be the name of a pool instead of a file in /dev."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system."""

    point: str
    device: str
    """The source: `/dev/sda1`, `server:/export`, a pool's name."""
    fstype: str
    number: str
    """major:minor; the same for all that is mounted of one file system."""
    root: str
    """Which of its folders is mounted: `/`, or another one for bind mounts and subvolumes."""
    read_only: bool
    """Of the file system itself. A read-only view of a writable one, as sandboxes have it, is none."""

    @property
    def is_remote(self) -> bool:
        """Whether asking it may hang. Where the root itself is remote, nothing runs without it anyway."""
        return (self.fstype in REMOTE or self.fstype.startswith("fuse.")) and self.point != "/"

    @property
    def is_storage(self) -> bool:
        """Whether it keeps data: no kernel interface, no memory, no image."""
        if self.fstype in _IMAGES:
            return False
        return (
            self.is_remote or self.point == "/" or self.device.startswith("/dev/") or self.fstype in _WITHOUT_DEVICE
        )


def parse_mountinfo(text: str) -> list[Mount]:
    """The visible mounts, from /proc/self/mountinfo (proc(5)): of several at one point the last is on top."""
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(rest) < 3:
            continue
        mount = Mount(
            point=_unescape(fields[4]),
            device=_unescape(rest[1]),
            fstype=rest[0],
            number=fields[2],
            root=_unescape(fields[3]),
            read_only="ro" in rest[2].split(","),
        )
        found.pop(mount.point, None)
        found[mount.point] = mount
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of /etc/fstab."""

    fstype: str
    read_only: bool


def parse_fstab(text: str) -> dict[str, Wanted]:
    """Mount point to what fstab(5) asks for there."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        options = fields[3].split(",") if len(fields) > 3 else []
        read_only = [option for option in options if option in ("ro", "rw")][-1:] == ["ro"]
        found[_unescape(fields[1])] = Wanted(fields[2], read_only)
    return found


def once_each(mounts: Iterable[Mount], *, keep: Collection[str] = ()) -> list[Mount]:
    """Each file system once, where most of it is seen; mount points in `keep` are left in any case."""
    best: dict[str, Mount] = {}
    kept = []
    for mount in mounts:
        if mount.point in keep:
            kept.append(mount)
        elif mount.number not in best or rank(mount) < rank(best[mount.number]):
            best[mount.number] = mount
    numbers = {mount.number for mount in kept}
    kept += [mount for mount in best.values() if mount.number not in numbers]
    return sorted(kept, key=lambda mount: mount.point)


def rank(mount: Mount) -> tuple[bool, int, str]:
    """The lowest is where most of a file system is seen: at its root, by its shortest name."""
    return (mount.root != "/", len(mount.point), mount.point)


def _unescape(text: str) -> str:
    r"""A space is written `\040`; also tab, newline and backslash."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8) & 0xFF), text)
