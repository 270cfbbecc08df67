"""What is mounted where, and which places a view of snapshots has to cover. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kit import mountinfo


class Mounted(NamedTuple):
    """A file system at a place, with what proc_pid_mountinfo(5) says of it."""

    point: bytes
    root: bytes
    """The folder of the file system that is seen there."""
    kind: str
    source: str
    device: str
    """MAJOR:MINOR."""


@dataclass(frozen=True, slots=True)
class Cover:
    """A place at which the view shows something else than what is mounted there."""

    path: bytes
    mounted: Mounted
    """Of what it shows the snapshot."""
    inner: bytes
    """The place in that, relative to where it is mounted; empty for all of it."""


def parse(content: bytes) -> list[Mounted]:
    """Every mount that can be seen: of several at one place the last one."""
    found: dict[bytes, Mounted] = {}
    for mount in mountinfo.parse(content):
        before, _, after = mount.line.partition(b" - ")
        fields, more = before.split(b" "), after.split(b" ")
        root, source = (mountinfo.unescape(each) for each in (fields[3], more[1] if len(more) > 1 else b""))
        found.pop(mount.point, None)
        found[mount.point] = Mounted(
            mount.point, root, mount.kind.decode(), source.decode(errors="surrogateescape"), fields[2].decode()
        )
    return list(found.values())


def holding(mounts: Iterable[Mounted], path: bytes) -> Mounted:
    """The mount that a path is on. Raises StopIteration where there is not even a root."""
    return max((mount for mount in mounts if within(path, mount.point)), key=lambda mount: len(mount.point))


def covers(
    paths: Sequence[bytes], mounts: Sequence[Mounted], frozen: Callable[[Mounted], bool]
) -> tuple[list[Cover], list[bytes]]:
    """What the view shows of snapshots, outer places first, and the mounts in there that stay as they are.

    `paths` are absolute and have no links in them. `frozen` says of which mounts there are snapshots.
    """
    shown: dict[bytes, Cover] = {}
    for path in paths:
        mount = holding(mounts, path)
        if frozen(mount):
            shown[path] = Cover(path, mount, path[len(mount.point.rstrip(b"/")) + 1 :])
        for below in mounts:
            if below.point != path and within(below.point, path) and frozen(below):
                shown[below.point] = Cover(below.point, below, b"")
    outer = sorted(shown.values(), key=lambda cover: len(cover.path))
    hidden = [
        mount.point
        for mount in sorted(mounts, key=lambda mount: len(mount.point))
        if mount.point not in shown and any(within(mount.point, cover.path) for cover in outer)
    ]
    return outer, hidden


def within(path: bytes, folder: bytes) -> bool:
    """Whether a path is a folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
