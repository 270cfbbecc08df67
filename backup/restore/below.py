"""Folders of the target, reached only by descriptors.

Every component is opened by itself and without following a symbolic link, from the target on, so that no name in a
tree, no link that was planted before, and none that is planted meanwhile leads out of it. It also makes paths of any
length possible; the number of open descriptors is bounded.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from backup.format.node import Node

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


_NO_FOLDER = "what stands in its place is no folder, and may not be overwritten"


class Folder:
    """A folder of the snapshot and of the target."""

    __slots__ = ("expected", "fresh", "name", "node", "parent", "ready", "whole")

    def __init__(self, parent: Folder | None, name: bytes, node: Node | None) -> None:
        self.parent = parent
        self.name = name
        self.node = node
        """None for the target itself."""
        self.ready = parent is None
        """Whether it is known to be there; in a dry run, whether it was looked for."""
        self.fresh = False
        """Whether this run made it, so that it holds nothing that is not the snapshot's."""
        self.expected: set[bytes] | None = None
        """Names that the snapshot has in it, where other entries may be removed."""
        self.whole = True
        """Whether its tree could be read."""

    @property
    def path(self) -> bytes:
        """Within the snapshot, from `/` on."""
        parts = []
        folder: Folder | None = self
        while folder is not None and folder.parent is not None:
            parts.append(folder.name)
            folder = folder.parent
        return b"/" + b"/".join(reversed(parts))

    def path_of(self, name: bytes) -> bytes:
        """Of an entry, within the snapshot."""
        path = self.path
        return path + name if path == b"/" else path + b"/" + name


class Descriptors:
    """Descriptors of folders; the least recently used are closed when there are too many."""

    def __init__(self, root: int, limit: int = 256) -> None:
        self._root = root
        self._limit = limit
        self._open: OrderedDict[Folder, int] = OrderedDict()

    def open(self, folder: Folder) -> int:
        """A descriptor that stays open at least until three others are asked for. Raises OSError."""
        if folder.parent is None:
            return self._root
        found = self._open.get(folder)
        if found is not None:
            self._open.move_to_end(folder)
            return found
        way = [folder]
        at = folder.parent
        while at.parent is not None and at not in self._open:
            way.append(at)
            at = at.parent
        descriptor = self._root if at.parent is None else self._open[at]
        for step in reversed(way):
            descriptor = os.open(step.name, _OPEN_FOLDER, dir_fd=descriptor)
            self._open[step] = descriptor
            if len(self._open) > self._limit:
                os.close(self._open.popitem(last=False)[1])
        return descriptor

    def forget(self, folder: Folder) -> None:
        """Close a folder that is done with."""
        found = self._open.pop(folder, None)
        if found is not None:
            os.close(found)

    def close(self) -> None:
        """Close all but the target's."""
        while self._open:
            os.close(self._open.popitem()[1])

    def make(self, folder: Folder, *, replace: bool) -> None:
        """Let the folder be there, and all above it, each its owner's alone until it is done.

        What stands in its place and is no folder is removed with `replace`; else FileExistsError. Raises OSError.
        """
        for step in _way_to(folder):
            assert step.parent is not None
            self._make(self.open(step.parent), step, replace=replace)
            step.ready = True

    def _make(self, parent: int, folder: Folder, *, replace: bool) -> None:
        with suppress(FileExistsError):
            os.mkdir(folder.name, 0o700, dir_fd=parent)
            folder.fresh = True
            return
        status = os.stat(folder.name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            if not replace:
                raise FileExistsError(errno.EEXIST, _NO_FOLDER)
            os.unlink(folder.name, dir_fd=parent)
            os.mkdir(folder.name, 0o700, dir_fd=parent)
            folder.fresh = True
        elif status.st_mode & 0o700 != 0o700 and os.geteuid() == status.st_uid != 0:
            # A read-only folder of one's own, as of an earlier restore; it gets its mode when it is done.
            entry = os.open(folder.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                Path(f"/proc/self/fd/{entry}").chmod(stat.S_IMODE(status.st_mode) | 0o700)
            finally:
                os.close(entry)

    def look(self, folder: Folder, *, replace: bool) -> None:
        """As `make`, without making anything: `fresh` then says that it would be made."""
        for step in _way_to(folder):
            assert step.parent is not None
            status = self.status(step.parent, step.name)
            if status is not None and not stat.S_ISDIR(status.st_mode) and not replace:
                raise FileExistsError(errno.EEXIST, _NO_FOLDER)
            step.fresh = status is None or not stat.S_ISDIR(status.st_mode)
            step.ready = True

    def status(self, folder: Folder, name: bytes) -> os.stat_result | None:
        """lstat of an entry; None where there is none. Raises OSError."""
        if folder.fresh:
            return None
        try:
            return os.stat(name, dir_fd=self.open(folder), follow_symlinks=False)
        except FileNotFoundError:
            return None


def _way_to(folder: Folder) -> list[Folder]:
    """What is not ready yet, from the outermost on."""
    way = []
    at: Folder | None = folder
    while at is not None and not at.ready:
        way.append(at)
        at = at.parent
    way.reverse()
    return way


def remove_all(folder: int, name: bytes) -> None:
    """Remove an entry of an open folder with all that is in it. Raises OSError.

    Links are not followed, other file systems not gone into. However deep it is, two descriptors are open at most.
    """
    try:
        os.unlink(name, dir_fd=folder)
        return
    except (IsADirectoryError, PermissionError):  # POSIX's answers and Linux's for folders
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise
    device = os.fstat(folder).st_dev
    current = os.dup(folder)
    way: list[tuple[bytes, int]] = []
    """(name of each folder that was gone into, inode of the one it is in)"""
    entries: list[list[bytes]] = [[name]]
    """Folders yet to be removed, at each level."""
    try:
        while True:
            if entries[-1]:
                current = _go_into(current, entries[-1][-1], device, way)
                entries.append(_unlink_files(current))
                continue
            entries.pop()
            if not way:
                return
            done, inode = way.pop()
            above = os.open(b"..", _OPEN_FOLDER, dir_fd=current)
            os.close(current)
            current = above
            if os.fstat(current).st_ino != inode:
                raise OSError(errno.ESTALE, "it was moved while it was being removed")
            os.rmdir(done, dir_fd=current)
            entries[-1].pop()
    finally:
        os.close(current)


def _go_into(current: int, name: bytes, device: int, way: list[tuple[bytes, int]]) -> int:
    inner = os.open(name, _OPEN_FOLDER, dir_fd=current)
    if os.fstat(inner).st_dev != device:
        os.close(inner)
        raise OSError(errno.EXDEV, "another file system is mounted in it")
    way.append((name, os.fstat(current).st_ino))
    os.close(current)
    return inner


def _unlink_files(folder: int) -> list[bytes]:
    """Remove what is no folder; gives back the names of the folders."""
    left = []
    for text in os.listdir(folder):
        name = os.fsencode(text)
        try:
            os.unlink(name, dir_fd=folder)
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise
            left.append(name)
    return left
