"""What is known of a log before it is judged."""

from __future__ import annotations

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
