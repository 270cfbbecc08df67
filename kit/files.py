"""Files that survive a kill and a full disk at any step: temp file beside it, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`, wholly or not at all. `mode` is set before the first byte is written.

    Raises OSError; then the old content, if any, is still there and no temp file is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    fsync_folder(path.parent)


def own_as_folder(path: Path) -> None:
    """Give what root made to whom its folder belongs: commands run by root share it with a service that is not root.

    Raises OSError.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        # The folder's owner could have put a link there.
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def read_regular(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file that somebody else may have put there: nothing to which a link leads, and
    nothing that waits for a writer. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file", str(path))
        return file.read(most)


def fsync_folder(folder: Path) -> None:
    """Make renames, creations and removals in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(folder: Path, *, mode: int) -> int | None:
    """A descriptor of a folder that can be written to, which is made where it is missing. While it is open nobody
    else gets one: None where somebody has it. Raises OSError."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
