"""A lock on an open file that ends with its process, and can be looked at without being taken.

flock(2) can be looked at only by taking it for a moment, in which whoever wants it is told wrongly that it is held.
"""

from __future__ import annotations

import fcntl
import struct

_FLOCK = "hhqqi0q"
"""struct flock: type, whence, start, length, and a process, which is 0 for a lock of an open file description."""


def locked(descriptor: int) -> bool:
    """Lock the file, open for writing, for as long as it is open. False where somebody else has. Raises OSError."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole(fcntl.F_WRLCK))
    except BlockingIOError:
        return False
    return True


def is_locked(descriptor: int) -> bool:
    """Whether somebody else has locked the file. Raises OSError."""
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole(fcntl.F_RDLCK))
    return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)


def _whole(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, 0, 0, 0, 0)
