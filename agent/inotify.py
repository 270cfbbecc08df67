"""inotify(7) by watchdog's binding of the kernel's calls.

Not by watchdog's observers: a thread of theirs reads the events, so nobody can tell when all that has happened so far
was read, and what the kernel dropped is a line in a log. Here `read` gives all events up to its call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from watchdog.observers.inotify_c import (
    InotifyConstants,
    Mask,
    WatchDescriptor,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

MODIFIED = InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_ATTRIB
CREATED = InotifyConstants.IN_CREATE
DELETED = InotifyConstants.IN_DELETE
MOVED_FROM = InotifyConstants.IN_MOVED_FROM
MOVED_TO = InotifyConstants.IN_MOVED_TO
SELF = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF
ATTRIB = InotifyConstants.IN_ATTRIB
UNMOUNTED = InotifyConstants.IN_UNMOUNT
OVERFLOW = InotifyConstants.IN_Q_OVERFLOW
IS_FOLDER = InotifyConstants.IN_ISDIR

_WANTED = Mask(
    MODIFIED
    | CREATED
    | DELETED
    | MOVED_FROM
    | MOVED_TO
    | SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 18


class Event(NamedTuple):
    """What happened in a folder, or to it where there is no name."""

    watch: int
    mask: int
    cookie: int
    """The same for both halves of a rename."""
    name: bytes


class Inotify:
    """A queue of events of folders, none of them below another's watch. Raises OSError where there is none left."""

    def __init__(self) -> None:
        self._descriptor = inotify_init()
        if self._descriptor < 0:
            raise _error()
        os.set_inheritable(self._descriptor, False)
        os.set_blocking(self._descriptor, False)

    def fileno(self) -> int:
        """What becomes readable when there are events."""
        return self._descriptor

    def watch(self, folder: bytes) -> int:
        """Watch a folder, not what is below it; the same number as before where it is watched already.

        Raises OSError; ENOSPC where the user has no watch left (fs.inotify.max_user_watches).
        """
        number = inotify_add_watch(self._descriptor, folder, _WANTED)
        if number < 0:
            raise _error()
        return number

    def unwatch(self, number: int) -> None:
        """Its events end; one that is gone already is no mistake."""
        inotify_rm_watch(self._descriptor, WatchDescriptor(number))

    def read(self) -> list[Event]:
        """Some of the events that are there, in their order; none where all have been read. Raises OSError."""
        try:
            return list(parse(os.read(self._descriptor, _BUFFER)))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Every watch ends."""
        os.close(self._descriptor)


def parse(data: bytes) -> Iterator[Event]:
    """The events in what the kernel gave, which are whole."""
    position = 0
    while position < len(data):
        watch, mask, cookie, length = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        yield Event(watch, mask, cookie, data[position : position + length].rstrip(b"\0"))
        position += length


def _error() -> OSError:
    number = ctypes.get_errno() or errno.EIO
    return OSError(number, os.strerror(number))
