"""What is in a folder of this host, as far as it is to be saved."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from typing import NamedTuple

from backup.archive.devices import Devices, of_origin
from backup.archive.paths import join
from backup.archive.scope import Scope

_ENCODING = sys.getfilesystemencoding()
_KIND = 0o170000
"""The bits that stat.S_IFMT takes."""
Listing = list[tuple[bytes, os.stat_result]]
"""Name and lstat of each entry, sorted by name."""
Tell = Callable[[bytes, str], None]
"""Told the path of what cannot be read, and why."""


class Overview(NamedTuple):
    """What is kept of a listing where the entries themselves need not be looked at."""

    entries: bytes
    """Their state (folders.py)."""
    files: int
    size: int
    """Bytes of the files."""
    subfolders: list[tuple[bytes, os.stat_result | None]]
    """Name and lstat, if that was kept; sorted by name."""


def overview_of(listing: Listing, entries: bytes) -> Overview:
    """The overview of a folder whose entries are in the state `entries`."""
    files = size = 0
    subfolders: list[tuple[bytes, os.stat_result | None]] = []
    for name, status in listing:
        kind = status.st_mode & _KIND
        if kind == stat.S_IFREG:
            files += 1
            size += status.st_size
        elif kind == stat.S_IFDIR:
            subfolders.append((name, status))
    return Overview(entries, files, size, subfolders)


def list_folder(
    path: bytes, descriptor: int, device: int | None, devices: Devices, scope: Scope, tell: Tell
) -> Listing:
    """The entries of an open folder that are to be saved. Raises OSError where it cannot be listed.

    With a `device` there are none on another: a folder that is itself on another has none at all.
    """
    if device is not None and os.fstat(descriptor).st_dev != device:
        return []
    filtered, bounded = bool(scope.excludes), scope.larger_than is not None
    listing: Listing = []
    names: set[bytes] = set()
    with os.scandir(descriptor) as entries:
        for entry in entries:
            name = entry.name.encode(_ENCODING, "surrogateescape")  # os.fsencode, without its checks
            if scope.marks:
                names.add(name)
            if filtered and scope.rejects(join(path, name)):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it is no longer there, and so not listed
            except OSError as error:
                tell(join(path, name), f"cannot be read: {error.strerror}")
                continue
            kind = status.st_mode & _KIND
            if kind == stat.S_IFSOCK or (bounded and scope.too_large(status)):
                continue
            if device is not None and status.st_dev != device and kind != stat.S_IFDIR:
                continue
            listing.append((name, of_origin(status, devices) if devices else status))
    if scope.marks:
        mark = scope.mark_in(descriptor, names, lambda reason: tell(path, reason))
        if mark is not None:
            listing = [entry for entry in listing if entry[0] == mark]
    listing.sort()
    return listing
