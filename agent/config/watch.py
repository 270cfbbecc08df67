"""Tells when the configuration's files change: edited, replaced, added, removed, or reached through a new link."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from agent.config.places import folder_beside
from kit.options.tree import UnreadableError, listing

log = logging.getLogger(__name__)

# Not the events of opening: looking at the folder would wake the watcher again, for ever.
_EVENTS: list[type[FileSystemEvent]] = [
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

# In a folder where others write all the time it never gets quiet: then the files are looked at all the same.
_PATIENCE = 10

Fingerprint = tuple[tuple[str, int, int, int, int], ...]


def fingerprint(file: Path) -> Fingerprint:
    """What changes whenever a load of `file` and its folder could give something else: name, device, inode, size and
    change time of each file, links followed. The change time also tells new rights; nobody can set it back."""
    try:
        files = [file, *listing(folder_beside(file))]
    except UnreadableError:
        files = [file, folder_beside(file)]
    found = []
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            found.append((str(path), -1, error.errno or 0, 0, 0))
        else:
            found.append((str(path), status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns))
    return tuple(found)


def folders_to_watch(file: Path) -> dict[Path, tuple[int, int]]:
    """The existing folders in which an event may mean a change, each with its device and inode.

    They are the folders of the files, and of what these are links to. For one that does not exist it is the nearest
    one above, in which it may appear.
    """
    beside = folder_beside(file)
    try:
        files = [file, *listing(beside)]
    except UnreadableError:
        files = [file]
    wanted = [_real(beside)]
    for path in files:
        wanted += [_real(path.parent), _real(path).parent]
    return dict(found for folder in wanted if (found := _nearest_existing(folder)))


class ConfigWatcher:
    """Calls `on_change` from a thread of its own when a load would give something else than at the last call.

    Events of the file system only make it look sooner: it also looks every `safety` seconds, because events get lost
    (a full queue, a network file system), and every `interval` seconds where there are no events to be had. Changes
    that come within `quiet` seconds of each other, as when an editor writes, are one. The caller's first load
    belongs after `start`, so that no change falls between the two.
    """

    def __init__(
        self,
        file: Path,
        on_change: Callable[[], None],
        *,
        quiet: float = 0.3,
        interval: float = 5.0,
        safety: float = 60.0,
    ) -> None:
        self._file = file
        self._on_change = on_change
        self._quiet = quiet
        self._interval = interval
        self._safety = safety
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._thread = threading.Thread(target=self._run, name="config-watcher", daemon=True)
        self._seen: Fingerprint = ()

    def start(self) -> None:
        """Begin to watch; the files as they are now are what changes are told against."""
        self._observe()
        self._seen = fingerprint(self._file)
        self._thread.start()

    def stop(self) -> None:
        """Returns when `on_change` will not be called any more."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        self._give_up_observing()

    @property
    def polling(self) -> bool:
        """True where the kernel gives no events and the files are looked at every `interval` seconds."""
        return self._observer is None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(self._interval if self.polling else self._safety)
            for _ in range(_PATIENCE):
                if not self._woken.is_set() or self._stopping.is_set():
                    break
                self._woken.clear()
                self._stopping.wait(self._quiet)
            if self._stopping.is_set():
                return
            if not self.polling:
                self._follow()
            now = fingerprint(self._file)
            if now != self._seen:
                self._seen = now
                self._on_change()

    def _observe(self) -> None:
        try:
            self._observer = Observer()
            self._observer.start()
            self._follow()
        except OSError as error:  # no inotify instance left (fs.inotify.max_user_instances)
            self._poll_because(error)

    def _follow(self) -> None:
        """Watch the folders that matter now; one that was made anew under its old name is another folder."""
        observer = self._observer
        if observer is None:
            return
        wanted = folders_to_watch(self._file)
        for folder, (watch, inode) in list(self._watches.items()):
            if wanted.get(folder) != inode:
                observer.unschedule(watch)
                del self._watches[folder]
        for folder, inode in wanted.items():
            if folder in self._watches:
                continue
            try:
                watch = observer.schedule(_Waker(self._woken), str(folder), event_filter=_EVENTS)
            except FileNotFoundError:
                self._woken.set()  # it has just gone: look again
            except OSError as error:  # no watch left (fs.inotify.max_user_watches)
                self._poll_because(error)
                return
            else:
                self._watches[folder] = (watch, inode)

    def _poll_because(self, error: OSError) -> None:
        log.warning("configuration is looked at every %g s instead of being watched: %s", self._interval, error)
        self._give_up_observing()

    def _give_up_observing(self) -> None:
        observer, self._observer = self._observer, None
        self._watches.clear()
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join()


class _Waker(FileSystemEventHandler):
    def __init__(self, woken: threading.Event) -> None:
        self._woken = woken

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._woken.set()


def _real(path: Path) -> Path:
    """The path without links. Path.resolve raises for a link to itself, which a configuration may well be."""
    return Path(os.path.realpath(path))


def _nearest_existing(folder: Path) -> tuple[Path, tuple[int, int]] | None:
    for candidate in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            status = candidate.stat()
            if stat.S_ISDIR(status.st_mode):
                return candidate, (status.st_dev, status.st_ino)
    return None
