"""The folder of old logs, for rules that have one."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def make_folder(path: str, log: str) -> None:
    """Make it where it is missing, with the permissions and owners of the log's own folder. Raises OSError.

    Old logs keep their group, so it needs no setgid bit, which the sandbox of the unit would not let it have.
    """
    folder = Path(path)
    if folder.is_dir():
        return
    like = Path(log).parent.stat()
    folder.mkdir(mode=0o700, parents=True)
    # Whoever may write beside it could have put a link in its place.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.geteuid() == 0:
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, like.st_mode & (stat.S_ISVTX | 0o777))
    finally:
        os.close(descriptor)
