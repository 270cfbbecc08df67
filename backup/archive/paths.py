"""Opening entries whose paths may be longer than the kernel takes in one call."""

from __future__ import annotations

import os

_LONGEST = 4000
"""Bytes that are given to the kernel at once; PATH_MAX is 4096."""
_WAY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not blocking: what was a file a moment ago may be a pipe now."""


def open_quietly(path: bytes, flags: int, folder: int | None = None) -> int:
    """Open, without a change of the time of access where that is allowed. Raises OSError."""
    if len(path) <= _LONGEST:
        try:
            return os.open(path, flags | os.O_NOATIME, dir_fd=folder)
        except PermissionError:  # only the owner and root may leave the time alone
            return os.open(path, flags, dir_fd=folder)
    cut = path.rindex(b"/", 1, _LONGEST)
    step = os.open(path[:cut], _WAY, dir_fd=folder)
    try:
        return open_quietly(path[cut + 1 :], flags, step)
    finally:
        os.close(step)


def reachable(path: bytes, folder: int, name: bytes) -> bytes:
    """A path for calls that take no folder: `path`, or if it is too long one by way of the open folder."""
    return path if len(path) <= _LONGEST else b"/proc/self/fd/%d/%s" % (folder, name)


def shown(path: bytes) -> str:
    """As text, with bytes that are not UTF-8 kept."""
    return os.fsdecode(path)


def join(folder: bytes, name: bytes) -> bytes:
    """The path of an entry."""
    return folder + name if folder.endswith(b"/") else folder + b"/" + name
