"""A repository as a file system (FUSE), read-only: `ids`, `snapshots`, `hosts` and `tags`, each with its snapshots.

Snapshots are named by their short ids or by their times, `latest` is a link to the newest one. Owners, modes and
times are those that were saved. Trees and blobs are read when they are asked for, and the last ones kept. Shown are
the snapshots that there were when it was mounted.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import mfusepy

from backup.errors import RepositoryError
from backup.format.crypto import OVERHEAD
from backup.format.gotime import Moment, format_moment
from backup.format.instant import instant_nanoseconds
from backup.format.node import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    SOCKET,
    SYMLINK,
    Node,
)
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.select.snapshots import LATEST, newest_first
from kit.errors import HostwardError

KEPT_BLOBS = 64 << 20
"""Bytes of file content that are kept for the next read."""
KEPT_ENTRIES = 200_000
"""Entries of folders that are kept."""

_KINDS = {
    FILE: stat.S_IFREG,
    FOLDER: stat.S_IFDIR,
    SYMLINK: stat.S_IFLNK,
    BLOCK_DEVICE: stat.S_IFBLK,
    CHARACTER_DEVICE: stat.S_IFCHR,
    FIFO: stat.S_IFIFO,
    SOCKET: stat.S_IFSOCK,
}

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """What was loaded last, up to a total weight; one thing alone may weigh more."""

    def __init__(self, load: Callable[[Key], Value], weigh: Callable[[Value], int], most: int) -> None:
        self._load = load
        self._weigh = weigh
        self._most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._weight = 0

    def __getitem__(self, key: Key) -> Value:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = self._load(key)
        self._weight += self._weigh(value)
        while self._weight > self._most and len(self._kept) > 1:
            self._weight -= self._weigh(self._kept.popitem(last=False)[1])
        return value


class Opened(NamedTuple):
    """A file that is being read."""

    content: list[bytes]
    ends: list[int]
    """Where each blob ends in the file."""


class Listed(dict[bytes, "Entry"]):
    """A folder that is not of a snapshot; text is a link."""


Entry = Listed | Snapshot | str | Node

_log = logging.getLogger(__name__)
_SECOND = 10**9
_LOOP_ENDED = 8
"""libfuse's fuse_main returns it when it had mounted, and a signal ended it (lib/helper.c, fuse_main_real)."""


class View(mfusepy.Operations):  # type: ignore[misc]
    """What the kernel asks. One thread alone may call it."""

    use_ns = True

    def __init__(
        self, repository: Repository, snapshots: Iterable[Snapshot], on_mounted: Callable[[], object] | None = None
    ) -> None:
        self._repository = repository
        self._on_mounted = on_mounted
        self._root = arrange(snapshots)
        self._trees = Cache(self._load_tree, len, KEPT_ENTRIES)
        self._blobs: Cache[bytes, bytes] = Cache(lambda id: repository.load_blob(BlobKind.DATA, id), len, KEPT_BLOBS)
        self._opened: dict[int, Opened] = {}
        self._next = 0

    def init(self, path: str) -> None:
        """It is mounted."""
        if self._on_mounted is not None:
            self._on_mounted()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """What `stat` shows."""
        entry = self._find(path)
        if isinstance(entry, Node):
            return {
                "st_mode": _KINDS.get(entry.type, stat.S_IFREG) | entry.permissions,
                "st_nlink": max(entry.links, 1),
                "st_uid": entry.uid,
                "st_gid": entry.gid,
                "st_size": len(entry.linktarget) if entry.type == SYMLINK else entry.size,
                "st_rdev": entry.device,
                "st_blocks": (entry.size + 511) // 512,
                "st_mtime": entry.mtime_ns,
                "st_atime": entry.mtime_ns,
                "st_ctime": instant_nanoseconds(entry.ctime),
            }
        if isinstance(entry, str):
            return {"st_mode": stat.S_IFLNK | 0o777, "st_nlink": 1, "st_size": len(os.fsencode(entry))}
        time = entry.time_ns if isinstance(entry, Snapshot) else 0
        mode = stat.S_IFDIR | 0o755
        return {"st_mode": mode, "st_nlink": 2, "st_mtime": time, "st_atime": time, "st_ctime": time}

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        """The names in a folder."""
        return iter([".", "..", *(os.fsdecode(name) for name in self._entries(self._find(path)))])

    def readlink(self, path: str) -> str:
        """Where a link leads, as it was saved."""
        entry = self._find(path)
        if isinstance(entry, Node) and entry.type == SYMLINK:
            return os.fsdecode(entry.linktarget)
        if isinstance(entry, str):
            return entry
        raise mfusepy.FuseOSError(errno.EINVAL)

    def open(self, path: str, flags: int) -> int:
        """A number for the reads that follow."""
        entry = self._find(path)
        if not isinstance(entry, Node) or entry.type != FILE:
            raise mfusepy.FuseOSError(errno.EISDIR if not isinstance(entry, str) else errno.ELOOP)
        content = entry.content or []
        self._next += 1
        self._opened[self._next] = Opened(content, list(accumulate(map(self._length, content))))
        return self._next

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """A part of a file; less at its end."""
        content, ends = self._opened[fh]
        parts = []
        number = bisect_right(ends, offset)
        while size > 0 and number < len(content):
            start = offset - (ends[number - 1] if number else 0)
            part = self._blob(content[number])[start : start + size]
            parts.append(part)
            size -= len(part)
            offset += len(part)
            number += 1
        return b"".join(parts)

    def release(self, path: str, fh: int) -> int:
        """The file is not read any more."""
        self._opened.pop(fh, None)
        return 0

    def _find(self, path: str) -> Entry:
        """What is at a path. Raises FuseOSError."""
        entry: Entry = self._root
        for name in os.fsencode(path).split(b"/"):
            if name:
                found = self._entries(entry).get(name)
                if found is None:
                    raise mfusepy.FuseOSError(errno.ENOENT)
                entry = found
        return entry

    def _entries(self, folder: Entry) -> Mapping[bytes, Entry]:
        if isinstance(folder, Listed):
            return folder
        tree = folder.tree if isinstance(folder, Snapshot) else folder.subtree if isinstance(folder, Node) else None
        if tree is None:
            raise mfusepy.FuseOSError(errno.ENOTDIR)
        with _told():
            return self._trees[tree]

    def _load_tree(self, id: bytes) -> dict[bytes, Entry]:
        return {node.name: node for node in self._repository.load_tree(id)}

    def _blob(self, id: bytes) -> bytes:
        with _told():
            return self._blobs[id]

    def _length(self, id: bytes) -> int:
        place = self._repository.blobs.find(BlobKind.DATA, id)
        if place is None:
            raise mfusepy.FuseOSError(errno.EIO)
        return place.plain_length or place.length - OVERHEAD


def mount(
    repository: Repository,
    snapshots: Iterable[Snapshot],
    point: Path,
    *,
    others: bool = False,
    on_mounted: Callable[[], object] | None = None,
) -> None:
    """Show the snapshots at `point`, a folder, until it is unmounted (`umount`, or Ctrl-C).

    `others` lets other users look too; `on_mounted` is called once they can. Raises HostwardError where it cannot be
    mounted.
    """
    if not point.is_dir():
        raise HostwardError(f"{point} is no folder, and a repository can be mounted on nothing else")
    repository.load_index()
    view = View(repository, snapshots, on_mounted)
    # Programs and devices are what a stranger may have put into the repository.
    options = {"ro": True, "nosuid": True, "nodev": True}
    if others:
        options |= {"allow_other": True, "default_permissions": True}
    # While it is mounted Python hardly runs, so its handlers would not: FUSE has its own, which unmount.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        mfusepy.FUSE(view, str(point), foreground=True, nothreads=True, fsname="hostward", **options)
    except RuntimeError as error:
        if error.args == (_LOOP_ENDED,):
            return
        raise HostwardError(f"the repository could not be mounted on {point} (FUSE says {error})") from None


def arrange(snapshots: Iterable[Snapshot]) -> Listed:
    """The folders above the snapshots."""
    ordered = newest_first(snapshots)[::-1]
    ids = Listed({os.fsencode(each.short_id): each for each in ordered})
    root = Listed({b"ids": ids, b"snapshots": _by_time(ordered)})
    for folder, names_of in (("hosts", lambda each: [each.hostname]), ("tags", lambda each: each.tags)):
        groups: dict[bytes, list[Snapshot]] = {}
        for snapshot in ordered:
            for name in names_of(snapshot):
                if safe := _name(name):
                    groups.setdefault(safe, []).append(snapshot)
        root[folder.encode()] = Listed({name: _by_time(group) for name, group in groups.items()})
    return root


def _by_time(ordered: list[Snapshot]) -> Listed:
    """The snapshots, the oldest first, by their times to the second; others of the same second get a number."""
    listed = Listed()
    for snapshot in ordered:
        time = format_moment(Moment(snapshot.time_ns // _SECOND * _SECOND, snapshot.moment.offset)).encode()
        name, number = time, 0
        while name in listed:
            number += 1
            name = b"%s-%d" % (time, number)
        listed[name] = snapshot
    if ordered:
        listed[LATEST.encode()] = name.decode()
    return listed


def _name(text: str) -> bytes:
    """A host's name or a tag as the name of a folder; empty where it cannot be one."""
    name = text.replace("/", "_").replace("\0", "_").encode(errors="surrogateescape")
    return b"" if name in (b".", b"..") or len(name) > 255 else name


@contextmanager
def _told() -> Iterator[None]:
    """What is damaged or cannot be had is an input/output error, and is said on the log."""
    try:
        yield
    except RepositoryError as error:
        _log.error("%s", error)
        raise mfusepy.FuseOSError(errno.EIO) from None
