"""Files that came back, held against the snapshot and against this host.

Every file is read through and each of its blobs hashed: what the snapshot says is their digests, and nothing else
that the restore knows goes into the comparison.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress

from backup.errors import DamagedError
from backup.format.instant import instant_nanoseconds
from backup.format.node import Node
from backup.format.pack import BlobKind
from backup.repository.repository import Repository
from backup.restore.plan import locate

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_ONCE = 1 << 20


class Comparison:
    """Compares with the snapshots of one repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def restored(self, root: int, path: bytes, node: Node) -> str:
        """What is wrong with the file that came back below the open folder `root`; empty where nothing is."""
        try:
            descriptor = _open_below(root, path)
        except FileNotFoundError:
            return "did not come back"
        except OSError as error:
            return f"came back, but cannot be read: {error.strerror}"
        try:
            return "" if self._holds(descriptor, node) else "is not what the snapshot says"
        except OSError as error:
            return f"came back, but cannot be read: {error.strerror}"
        except DamagedError as error:
            return str(error)
        finally:
            os.close(descriptor)

    def live(self, path: bytes, node: Node) -> str | None:
        """The same of the file that the snapshot was made of; None where it is no longer that one.

        It is where it is still there with the size, the times and the inode that the snapshot says, before and after
        it was read.
        """
        with suppress(OSError, DamagedError):
            descriptor = os.open(path, _READ)
            try:
                if not _is_unchanged(os.fstat(descriptor), node):
                    return None
                holds = self._holds(descriptor, node)
                if not _is_unchanged(os.fstat(descriptor), node):
                    return None
            finally:
                os.close(descriptor)
            return "" if holds else "is not what is on this host, where it has not changed since"
        return None

    def _holds(self, descriptor: int, node: Node) -> bool:
        """Whether a file consists of the blobs of the node, and ends there."""
        found = locate(node, lambda id: self._repository.blobs.find(BlobKind.DATA, id))
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            for id, (_, length) in zip(node.content or (), found, strict=True):
                digest = hashlib.sha256()
                left = length
                while left:
                    data = file.read(min(left, _AT_ONCE))
                    if not data:
                        return False
                    digest.update(data)
                    left -= len(data)
                if digest.digest() != id:
                    return False
            return not file.read(1)


def _is_unchanged(status: os.stat_result, node: Node) -> bool:
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == node.size
        and status.st_ino == node.inode
        and status.st_mtime_ns == node.mtime_ns
        and status.st_ctime_ns == instant_nanoseconds(node.ctime)
    )


def _open_below(root: int, path: bytes) -> int:
    """A file below an open folder, by a path of any length, through folders alone. Raises OSError."""
    *folders, name = path.strip(b"/").split(b"/")
    here = os.dup(root)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        return os.open(name, _READ, dir_fd=here)
    finally:
        os.close(here)
