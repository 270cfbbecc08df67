"""What is known of a log before it is judged."""

from __future__ import annotations

import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


class Facts:
    """What the file system says of a log."""

    __slots__ = ("device", "gid", "inode", "mode", "modified", "size", "uid")

    def __init__(self, *, size: int, modified: int, device: int, inode: int, mode: int, uid: int, gid: int) -> None:
        self.size = size
        self.modified = modified
        """Nanoseconds since 1970."""
        self.device = device
        self.inode = inode
        self.mode = mode
        self.uid = uid
        self.gid = gid

    @staticmethod
    def of(status: os.stat_result) -> Facts:
        """What of a status matters."""
        return Facts(
            size=status.st_size,
            modified=status.st_mtime_ns,
            device=status.st_dev,
            inode=status.st_ino,
            mode=status.st_mode,
            uid=status.st_uid,
            gid=status.st_gid,
        )


def is_open_to_others(folder: os.stat_result) -> bool:
    """Whether others than root may put something else in the place of what is in a folder: root does nothing there.

    As logrotate has it: everybody may write to it, or a group that is not root's.
    """
    return bool(folder.st_mode & stat.S_IWOTH or (folder.st_mode & stat.S_IWGRP and folder.st_gid))
