"""What tells whether a file is one that was read before, and whether all of it was."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence

from agent.logs.lines import split
from agent.logs.place import SPAN, Place, Seen

RACY = 1.0
"""Seconds within which a file may change again under the same st_ctime, of which the kernel keeps ticks."""


def is_as_listed(descriptor: int, file: Seen) -> bool:
    """Whether an open file is as it was when its folder was read."""
    stat = os.fstat(descriptor)
    return (stat.st_size, stat.st_ctime_ns) == (file.stat.st_size, file.stat.st_ctime_ns)


def is_unchanged(file: Seen, place: Place) -> bool:
    """Whether a file is as it was when it was read up to that place."""
    return (file.stat.st_size, file.stat.st_ctime_ns) == (place.size, place.changed)


def settled(stat: os.stat_result) -> int:
    """What tells that a file has not changed since; 0 where that would not."""
    return stat.st_ctime_ns if time.time() - stat.st_ctime > RACY else 0


def begins(descriptor: int, place: Place, data: bytes) -> bool:
    """Whether a file of which nothing was read before still begins with what was read now."""
    return place.offset > 0 or os.pread(descriptor, min(SPAN, len(data)), 0) == data[:SPAN]


def after_hole(descriptor: int, offset: int, data: bytes) -> int | None:
    """Where data begins again, where there were only zero bytes."""
    if not data or data.strip(b"\0"):
        return None
    try:
        return os.lseek(descriptor, offset + len(data), os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # none follows
            return None
        raise


def end(descriptor: int, size: int, longest: int) -> tuple[int, bool]:
    """Where, of the first `size` bytes, the last line begins that is not complete, and whether that is too long."""
    start = max(0, size - longest - 1)
    _, used, skipping = split(os.pread(descriptor, size - start, start), longest, skipping=start > 0)
    return start + used, skipping


def content_of(size: int | None, lost: Sequence[Place]) -> Place | None:
    """The place to which an archive's content most likely belonged: of what was read to its end, else of the log."""
    fitting = [place for place in lost if size is None or place.offset <= size]
    return max(fitting, key=lambda place: (place.offset == size, place.name == place.family), default=None)


def was_at_end(place: Place, archive: Seen) -> bool:
    """Whether all was read that was ever written: an archive has the time at which its content was last written to,
    and since then it was seen."""
    return place.offset == place.size and archive.stat.st_mtime_ns <= place.changed


def unpacked_size(archive: Seen) -> int | None:
    """Bytes of the content of a gzip file (RFC 1952, ISIZE: modulo 4 GiB); None for others, which do not say."""
    if not archive.name.endswith(b".gz"):
        return None
    try:
        with open(archive.path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")
    except OSError:
        return None
