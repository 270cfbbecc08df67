"""Keeps account of the folders in which something changed, by what the kernel tells of them.

The rule for everything that is not wholly understood: say so, and have everything scanned. Then nothing is watched
until somebody asks; the question makes a new beginning.
"""

from __future__ import annotations

import errno
import logging
import os
import posixpath
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from agent import inotify
from agent.backups.watch.folders import NO_WATCH, Folder, Folders
from agent.backups.watch.protocol import MOST_FOLDERS, Answer, Token
from agent.inotify import Event, Inotify
from backup.metadata import TICK
from kit import mountinfo

log = logging.getLogger(__name__)

_ROUNDS = 100
"""Readings of the queue in a row that bring new folders: then others make them faster than they can be watched."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_UNREACHABLE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
_MOUNTS = "/proc/self/mountinfo"


@dataclass(frozen=True)
class Watched:
    """What is to be watched."""

    roots: tuple[bytes, ...]
    """Absolute and clean. One that is no folder needs no watching: a run looks at each of them."""
    fingerprint: str
    """Of all that decides what is saved."""
    rejects: Callable[[bytes], bool] | None = None
    """Whether a folder is left out, by its path; None where none is."""
    one_file_system: bool = False


class LostError(Exception):
    """It can no longer be told what changed; the words say why."""


class Watcher:
    """Watches the folders of one job. Not for several threads.

    `read_mounts` gives /proc/self/mountinfo, `queue` makes the kernel's end: tests put theirs in their place.
    """

    def __init__(
        self,
        watched: Watched,
        *,
        most_changed: int = MOST_FOLDERS,
        read_mounts: Callable[[], bytes] | None = None,
        queue: Callable[[], Inotify] = Inotify,
    ) -> None:
        self._watched = watched
        self._most_changed = most_changed
        self._read_mounts = read_mounts or _mountinfo
        self._make_queue = queue
        self._queue: Inotify | None = None
        self._lost = "the watcher has only begun"
        """Why nothing is known; it counts while there is no queue."""
        self._instance = ""
        self._floor = 0
        """Nothing is known of what changed before this epoch was over."""
        self._floor_reason = ""
        self._folders = Folders()
        self._new: dict[tuple[Folder, bytes], None] = {}
        """Folders that came, to be watched."""
        self._names: dict[tuple[Folder, bytes], bool] = {}
        """Entries that came and may be other names of files that are elsewhere; True where they came from within."""
        self._limbo: dict[int, Folder] = {}
        """Folders that left their place and have come to no other yet, by the rename's number."""
        self._left: dict[int, bool] = {}
        """Renames by which files left their place; whether it is known which names they have."""
        self._identities: Mapping[bytes, tuple[int, int] | None] = {}
        self._mounts: list[mountinfo.Mount] = []
        self._blind: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._folders)

    @property
    def lost(self) -> str:
        """Why nothing is known; empty where something is."""
        return "" if self._queue is not None else self._lost

    def fileno(self) -> int:
        """What is readable when the kernel has something to tell; -1 while nothing is watched."""
        return -1 if self._queue is None else self._queue.fileno()

    def start(self) -> None:
        """Watch all folders. What keeps it from that is in `lost` then."""
        self.close()
        try:
            self._begin()
        except LostError as error:
            self._lose(str(error))

    def close(self) -> None:
        """Watch nothing."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def take_note(self) -> None:
        """Read what the kernel has told until now."""
        if self._queue is not None:
            try:
                self._drain(self._queue)
            except LostError as error:
                self._lose(str(error))

    def answer(self, token: str) -> Answer:
        """What changed since the answer that had this token; an empty one, or one of another watcher: everything.

        What changes from now on is in the answer to the token of this one.
        """
        self.take_note()
        if self._queue is not None and (reason := self._look_at_roots()):
            self._lose(reason)
        if self._queue is None:
            reason = self._lost
            self.start()
            if self.lost:
                return Answer(everything=self.lost)
            return Answer(token=self._next_token(), everything=reason)
        since = Token.parse(token)
        if since is None:
            return Answer(token=self._next_token(), everything="nothing is known of the run before")
        if since.instance != self._instance:
            return Answer(token=self._next_token(), everything="the watcher has begun anew since")
        if since.epoch < self._floor or since.epoch >= self._folders.epoch:
            reason = self._floor_reason or "the run before is none that the watcher knows"
            return Answer(token=self._next_token(), everything=reason)
        changed, whole = self._folders.since(since.epoch)
        self._folders.clear(since.epoch)
        self._floor, self._floor_reason = since.epoch, "a later run has been answered already"
        return Answer(token=self._next_token(), changed=changed, whole=whole)

    def _next_token(self) -> str:
        token = Token(self._instance, self._folders.epoch)
        self._folders.epoch += 1
        return str(token)

    def _lose(self, reason: str) -> None:
        log.info("the next run scans everything: %s", reason)
        self.close()
        self._lost = reason
        self._folders = Folders()
        self._forget_batch()

    def _forget_batch(self) -> None:
        self._new.clear()
        self._names.clear()
        self._limbo.clear()
        self._left.clear()

    # The beginning

    def _begin(self) -> None:
        """Raises LostError."""
        try:
            queue = self._queue = self._make_queue()
        except OSError as error:
            raise LostError(
                f"the user has no inotify instance left (sysctl fs.inotify.max_user_instances): {error.strerror}"
            ) from error
        # So that what happened before this has another time than what happens from now on.
        time.sleep(2 * TICK / 1e9)
        began = time.time_ns() - TICK
        self._folders = Folders()
        self._forget_batch()
        self._instance = secrets.token_hex(8)
        self._floor, self._floor_reason = 0, ""
        self._identities = {root: _identity(root) for root in self._watched.roots}
        self._mounts = self._mounts_now()
        self._blind = self._blind_places()
        for root in sorted(self._watched.roots):
            if self._identities[root] is not None and self._find(root) is None:
                self._cover(queue, None, root, began)

    def _find(self, path: bytes) -> Folder | None:
        """The folder at a path, if it is below a root that is covered."""
        for root, folder in self._folders.roots.items():
            if path == root:
                return folder
            inside = root.rstrip(b"/") + b"/"
            if path.startswith(inside):
                found: Folder | None = folder
                for name in path[len(inside) :].split(b"/"):
                    found = found.child(name) if found is not None else None
                if found is not None:
                    return found
        return None

    def _cover(self, queue: Inotify, parent: Folder | None, name: bytes, began: int | None) -> bool:
        """Watch a folder and all that are in it; False where there is none.

        A folder is watched first and listed then, so that none is missed. `began` is when all of this began; None
        for folders that came later. Raises LostError.
        """
        covered = False
        first = _join(parent, name)
        waiting = [(parent, name, first, self._device_at(first))]
        while waiting:
            parent, name, path, device = waiting.pop()
            known = None if parent is None else parent.child(name)
            watch = NO_WATCH if path in self._blind else self._watch(queue, path)
            if watch is None:
                continue
            covered = True
            if known is not None:
                if known.watch == watch:
                    folder = known
                else:
                    self._drop(queue, known)
                    known = None
            if known is None:
                if watch in self._folders.by_watch:
                    raise LostError(
                        f"{_shown(path)} is a folder that is in another place too, or has just been moved"
                    )
                folder = self._folders.add(parent, name, watch)
            if watch == NO_WATCH:
                self._folders.mark_always(folder, blind=True)
                continue
            try:
                with os.scandir(path) as entries:
                    listed = list(entries)
            except OSError as error:
                if error.errno not in _GONE:
                    self._folders.mark_always(folder, blind=True)
                continue
            for entry in listed:
                inside = _join_paths(path, entry.name)
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if inside in self._watched.roots:
                            waiting.append((folder, entry.name, inside, self._device_at(inside)))
                        elif not self._is_left_out(inside, entry, device):
                            waiting.append((folder, entry.name, inside, device))
                    else:
                        self._look_for_names(folder, entry.stat(follow_symlinks=False), began)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise LostError(f"{_shown(inside)} cannot be looked at: {error.strerror}") from error
        return covered

    def _watch(self, queue: Inotify, path: bytes) -> int | None:
        """The number of its watch; None: there is no folder; NO_WATCH: it may not be watched. Raises LostError."""
        try:
            return queue.watch(path)
        except OSError as error:
            if error.errno in _GONE:
                return None
            if error.errno in _UNREACHABLE:
                return NO_WATCH
            if error.errno == errno.ENOSPC:
                raise LostError(
                    f"the user has no inotify watch left after {len(self._folders)} folders "
                    "(sysctl fs.inotify.max_user_watches)"
                ) from error
            raise LostError(f"{_shown(path)} cannot be watched: {error.strerror}") from error

    def _is_left_out(self, path: bytes, entry: os.DirEntry[bytes], device: int | None) -> bool:
        if self._watched.rejects is not None and self._watched.rejects(path):
            return True
        return device is not None and entry.stat(follow_symlinks=False).st_dev != device

    def _device_at(self, path: bytes) -> int | None:
        """Of the file system that is not to be left there; None where any may be."""
        if not self._watched.one_file_system:
            return None
        while (identity := self._identities.get(path)) is None and path != b"/":
            path = posixpath.dirname(path)
        return None if identity is None else identity[0]

    def _look_for_names(self, folder: Folder, status: os.stat_result, began: int | None) -> None:
        """Note a file that has several names. Raises LostError where it may have got one since `began`, for the
        folder of another is not known then; 0: it has got none; None: it has.
        """
        if status.st_nlink < 2:
            return
        if began is None or 0 < began <= status.st_ctime_ns:
            raise LostError("a hard link was made, and where the file's other names are is not known")
        self._folders.mark_always(folder, linked=True)

    # What happened

    def _drain(self, queue: Inotify) -> None:
        """Read until all is read, and all that is new is watched. Raises LostError."""
        for _ in range(_ROUNDS):
            quiet = True
            while events := queue.read():
                quiet = False
                for event in events:
                    self._happened(queue, event)
            for folder in list(self._limbo.values()):  # they left for where nothing is watched
                for watch in self._folders.forget(folder):
                    queue.unwatch(watch)
            self._limbo.clear()
            self._look_at_names()
            self._left.clear()
            if self._folders.marked > self._most_changed:
                self._forget_before(f"more than {self._most_changed} folders changed")
            if not self._new:
                return
            new, self._new = self._new, {}
            for folder, name in new:
                if not self._folders.holds(folder):
                    continue
                if self._cover(queue, folder, name, None):
                    if (child := folder.child(name)) is not None:
                        self._folders.mark_whole(child)
                elif not quiet:
                    # It has been renamed, or one above it has: that is told next. If nothing is, it is gone.
                    self._new[folder, name] = None
        raise LostError("folders are made faster than they can be watched")

    def _happened(self, queue: Inotify, event: Event) -> None:
        mask = event.mask
        if mask & inotify.OVERFLOW:
            raise LostError("the kernel's queue of events ran over (sysctl fs.inotify.max_queued_events)")
        folder = self._folders.by_watch.get(event.watch)
        if folder is None:
            return
        if mask & inotify.UNMOUNTED:
            raise LostError(f"{_shown(folder.path())} was unmounted")
        if not event.name:
            if mask & inotify.SELF and self._folders.roots.get(folder.name) is folder:
                raise LostError(f"{_shown(folder.path())} was moved or removed")
            return
        self._folders.mark(folder)
        if mask & inotify.IS_FOLDER:
            self._happened_to_folder(queue, folder, event)
        elif mask & inotify.CREATED:
            self._names[folder, event.name] = False
        elif mask & inotify.MOVED_FROM:
            self._left[event.cookie] = self._names.pop((folder, event.name), True)
        elif mask & inotify.MOVED_TO:
            self._names[folder, event.name] = self._left.pop(event.cookie, False)

    def _happened_to_folder(self, queue: Inotify, parent: Folder, event: Event) -> None:
        name, mask = event.name, event.mask
        known = parent.child(name)
        if mask & (inotify.DELETED | inotify.MOVED_FROM):
            self._new.pop((parent, name), None)
            if known is None:
                return
            if mask & inotify.MOVED_FROM:
                self._folders.take_out(known)
                self._limbo[event.cookie] = known
            else:
                self._drop(queue, known)
        elif mask & (inotify.CREATED | inotify.MOVED_TO):
            moved = self._limbo.pop(event.cookie, None) if mask & inotify.MOVED_TO else None
            if moved is None:
                # It may be known: when it was made while its parent was being listed.
                if known is not None:
                    self._folders.mark_whole(known)
                self._new[parent, name] = None
                return
            if known is not None:
                self._drop(queue, known)
            self._new.pop((parent, name), None)
            self._folders.put(moved, parent, name)
            self._folders.mark_whole(moved)
            if self._watched.rejects is not None:  # what is left out depends on where it is
                self._drop(queue, moved)
                self._new[parent, name] = None
        elif mask & inotify.ATTRIB and known is not None and known.blind:
            self._drop(queue, known)  # its rights may have changed
            self._new[parent, name] = None

    def _drop(self, queue: Inotify, folder: Folder) -> None:
        self._folders.take_out(folder)
        for watch in self._folders.forget(folder):
            queue.unwatch(watch)

    def _look_at_names(self) -> None:
        """Find new names of files that have others. Raises LostError where these are not known."""
        names, self._names = self._names, {}
        for (folder, name), from_within in names.items():
            if self._folders.holds(folder):
                with suppress(OSError):  # it is gone again
                    status = os.lstat(_join(folder, name))
                    if not stat.S_ISDIR(status.st_mode):
                        self._look_for_names(folder, status, None if not from_within else 0)

    def _forget_before(self, reason: str) -> None:
        """Everything counts as changed until now."""
        self._folders.clear(self._folders.epoch)
        self._floor, self._floor_reason = self._folders.epoch, reason

    def _look_at_roots(self) -> str:
        """What is wrong with what the kernel tells nothing of; empty where nothing is."""
        for root, identity in self._identities.items():
            if _identity(root) != identity:
                return f"{_shown(root)} is another folder than before"
        if self._mounts_now() != self._mounts:
            return "something was mounted or unmounted"
        return ""

    def _mounts_now(self) -> list[mountinfo.Mount]:
        return mountinfo.about(mountinfo.parse(self._read_mounts()), list(map(os.path.realpath, self._watched.roots)))

    def _blind_places(self) -> set[bytes]:
        """Folders on file systems whose changes cannot be seen, by the paths that are used here."""
        places = set(mountinfo.blind_points(self._mounts))
        for root in self._watched.roots:
            real = os.path.realpath(root)
            holder = mountinfo.holding(self._mounts, real)
            if holder is not None and holder.is_blind:
                places.add(root)
            places |= {root + point[len(real) :] for point in places if point.startswith(real + b"/")}
        return places


def _mountinfo() -> bytes:
    with open(_MOUNTS, "rb") as stream:
        return stream.read()


def _identity(path: bytes) -> tuple[int, int] | None:
    """Device and inode of a folder; None for what is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _join(parent: Folder | None, name: bytes) -> bytes:
    return name if parent is None else _join_paths(parent.path(), name)


def _join_paths(folder: bytes, name: bytes) -> bytes:
    return folder + name if folder.endswith(b"/") else folder + b"/" + name


def _shown(path: bytes) -> str:
    return os.fsdecode(path)
