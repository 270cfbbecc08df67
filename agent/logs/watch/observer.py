"""Tells which logs may have changed, by one queue of the kernel's events for all their folders.

What the kernel does not tell is said too: that it dropped events, that a folder cannot be watched, that a file system
is one in which others write without this kernel's knowledge.
"""

from __future__ import annotations

import logging
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, has_magic
from typing import NamedTuple

from agent import inotify
from agent.inotify import Inotify
from kit import mountinfo
from kit.mountinfo import Mount

log = logging.getLogger(__name__)

_MOUNTS = "/proc/self/mountinfo"
_MOST_STEPS = 400
"""From one link to the next, until a path leads nowhere."""
_NAMES = inotify.CREATED | inotify.DELETED | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.SELF | inotify.UNMOUNTED


class Changes(NamedTuple):
    """What happened since the last time."""

    files: frozenset[str] = frozenset()
    """Paths of what was written to, came or went."""
    names: bool = False
    """Whether names came or went, so that patterns may mean other files than before."""
    lost: bool = False
    """Whether the kernel dropped events: anything may have happened."""


class Observer:
    """The queue, and the folders that are watched."""

    def __init__(
        self, *, queue: Callable[[], Inotify] = Inotify, read_mounts: Callable[[], bytes] | None = None
    ) -> None:
        """`queue` makes the kernel's end, `read_mounts` gives /proc/self/mountinfo; tests put theirs in their
        place."""
        self._read_mounts = read_mounts or _mountinfo
        self._folders: dict[int, list[str]] = {}
        """By the number of the watch, the names by which a folder is asked for."""
        self.unwatched: frozenset[str] = frozenset()
        """Folders that are there and whose changes nobody tells."""
        self._queue: Inotify | None = None
        try:
            self._queue = queue()
        except OSError as error:  # none left (fs.inotify.max_user_instances)
            log.warning("logs are looked at at intervals instead of being watched: %s", error.strerror)

    def fileno(self) -> int:
        """What becomes readable when something happened; -1 where nobody tells."""
        return -1 if self._queue is None else self._queue.fileno()

    def close(self) -> None:
        """Nothing is told any more."""
        if self._queue is not None:
            self._queue.close()

    def blind(self, patterns: Iterable[str]) -> frozenset[str]:
        """Those patterns whose files are where changes cannot all be seen and a look may hang. It does not look
        there."""
        mounts = mountinfo.parse(self._read_mounts())
        return frozenset(pattern for pattern in patterns if _is_blind(_fixed(pattern), mounts))

    def watch(self, wanted: Iterable[str]) -> None:
        """Watch these folders, and no others."""
        if self._queue is None:
            self.unwatched = frozenset(wanted)
            return
        now: dict[int, list[str]] = {}
        failed = {}
        for folder in wanted:
            try:
                # The kernel is asked not to follow links, of folders either.
                number = self._queue.watch(os.fsencode(os.path.realpath(folder)))
            except (FileNotFoundError, NotADirectoryError):
                continue  # it has just gone
            except OSError as error:
                failed[folder] = error
            else:
                now.setdefault(number, []).append(folder)
        for gone in self._folders.keys() - now.keys():
            self._queue.unwatch(gone)
        self._folders = now
        for folder in sorted(failed.keys() - self.unwatched):
            why = failed[folder].strerror
            log.warning("%s is looked at at intervals instead of being watched: %s", folder, why)
        self.unwatched = frozenset(failed)

    def read(self) -> Changes:
        """All that happened up to now."""
        files: set[str] = set()
        names = lost = False
        for event in self._events():
            if event.mask & inotify.OVERFLOW:
                lost = names = True
                continue
            if event.mask & _NAMES:
                names = True
            if event.name and not event.mask & inotify.IS_FOLDER:
                name = os.fsdecode(event.name)
                files.update(posixpath.join(folder, name) for folder in self._folders.get(event.watch, ()))
        return Changes(frozenset(files), names, lost)

    def _events(self) -> Iterator[inotify.Event]:
        """Each once, however often it came: a log that is written to all the time has many."""
        while self._queue is not None and (events := self._queue.read()):
            yield from dict.fromkeys(events)


def folders(pattern: str) -> set[str]:
    """The folders in which files that a pattern means are, or may appear; for one that is not there, the nearest
    above it."""
    fixed = _fixed(pattern)
    nearest = fixed
    while nearest != "/" and not posixpath.isdir(nearest):
        nearest = posixpath.dirname(nearest)
    found = {nearest}
    below = posixpath.dirname(pattern)[len(fixed) :].split("/")
    for depth in range(1, len(below)):
        head = fixed.rstrip("/") + "/" + "/".join(below[1 : depth + 1])
        found.update(folder for folder in glob(head) if posixpath.isdir(folder))  # noqa: PTH207 - text, as patterns are
    return found


def _fixed(pattern: str) -> str:
    """The folder of a pattern as far as it stands for itself."""
    folder = posixpath.dirname(pattern)
    while has_magic(folder):
        folder = posixpath.dirname(folder)
    return folder


def _is_blind(folder: str, mounts: Sequence[Mount]) -> bool:
    """Whether a folder, through all links, is on a blind file system. No step is made into one, which might hang."""
    points = {os.fsdecode(point) for point in mountinfo.blind_points(mounts)}
    path, rest = "/", [part for part in folder.split("/") if part]
    for _ in range(_MOST_STEPS):
        if path in points:
            holder = mountinfo.holding(mounts, os.fsencode(posixpath.join(path, *rest)))
            if holder is not None and holder.is_blind:
                return True
        if not rest:
            return False
        step = posixpath.join(path, rest.pop(0))
        try:
            target = "" if step in points else os.readlink(step)  # noqa: PTH115 - text, as patterns are
        except OSError:
            path = step
        else:
            whole = posixpath.normpath(posixpath.join(path, target))
            path, rest = ("/", [part for part in [*whole.split("/"), *rest] if part]) if target else (step, rest)
    return False  # links in a circle lead to no log


def _mountinfo() -> bytes:
    with open(_MOUNTS, "rb") as stream:
        return stream.read()
