"""Renaming, creating, copying, truncating and removing logs."""

from __future__ import annotations

import errno
import os
import stat
import time

from agent.logs.rotate.apply import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.apply.folders import Folder

ACCESS_LIST = "system.posix_acl_access"
_PIECE = 8 << 20
_NO_COLLAPSE = frozenset((errno.EPERM, errno.EINVAL, errno.ETXTBSY, errno.ENOSYS, errno.EOPNOTSUPP))
_NO_COPY_RANGE = frozenset((errno.EPERM, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class OutputError(OSError):
    """A file cannot be made."""


def temporary(name: str) -> str:
    """The name, in the same folder, under which something is made that is to have this name when it is whole."""
    return f".{name[:200]}.hostward"


def open_same(folder: Folder, name: str, inode: int, *, flags: int = os.O_RDONLY) -> tuple[int, os.stat_result]:
    """A descriptor of the file that was seen, and its status. It never waits and follows no link.

    Raises OSError, also where the name is another file by now, or not one of data.
    """
    descriptor = os.open(
        name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder.descriptor
    )
    try:
        status = os.fstat(descriptor)
        if inode and status.st_ino != inode:
            raise OSError(errno.ESTALE, f"{name} was replaced by another file")
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def create_anew(folder: Folder, name: str, *, flags: int = os.O_WRONLY) -> int:
    """A descriptor of a new file, nobody else's yet; what a killed run left of it goes. Raises OutputError."""
    try:
        try:
            return operations.create(name, folder=folder.descriptor, flags=flags)
        except FileExistsError:
            operations.unlink(name, folder=folder.descriptor)
        return operations.create(name, folder=folder.descriptor, flags=flags)
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def remove_if_there(folder: Folder, name: str) -> None:
    """Remove it. Raises OSError but for a file that is not there."""
    try:
        operations.unlink(name, folder=folder.descriptor)
    except FileNotFoundError:
        return


def publish(folder: Folder, name: str) -> None:
    """Give what was made under a temporary name its own. Raises OSError, and then it is gone."""
    unfinished = temporary(name)
    try:
        operations.rename(unfinished, name, old_folder=folder.descriptor, new_folder=folder.descriptor)
    except OSError:
        remove_if_there(folder, unfinished)
        raise


def create_log(folder: Folder, name: str, mode: int, uid: int, gid: int, access_list: bytes | None) -> None:
    """A new, empty log, which is nobody else's before it has its owners. Raises OSError; FileExistsError."""
    descriptor = operations.create(name, folder=folder.descriptor, mode=mode & 0o600)
    try:
        own(descriptor, os.fstat(descriptor), uid, gid)
        operations.fchmod(descriptor, mode)
        if access_list is not None:
            operations.set_attribute(descriptor, ACCESS_LIST, access_list)
    finally:
        os.close(descriptor)


def is_raw(folder: Folder, name: str) -> bool:
    """Whether a log is as `create_log` leaves it when it is killed: ours alone, and empty."""
    status = folder.look(name)
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o177
        and not status.st_size
    )


def own(descriptor: int, status: os.stat_result, uid: int, gid: int) -> None:
    """Give it to them. Where that needs rights that this process lacks it stays ours, as logrotate leaves it."""
    if (status.st_uid, status.st_gid) != (uid, gid):
        try:
            operations.fchown(descriptor, uid, gid)
        except PermissionError:
            if os.geteuid() == 0:
                raise


def access_list_of(folder: Folder, name: str) -> bytes | None:
    """The access list of a file that has more than a mode."""
    try:
        return os.getxattr(f"/proc/self/fd/{folder.descriptor}/{name}", ACCESS_LIST, follow_symlinks=False)
    except OSError:
        return None


def make_alike(descriptor: int, source: int, status: os.stat_result) -> None:
    """Give a file the owners, permissions and access list of `source`. Raises OSError."""
    own(descriptor, os.fstat(descriptor), status.st_uid, status.st_gid)
    operations.fchmod(descriptor, status.st_mode & 0o777)
    try:
        access_list = os.getxattr(source, ACCESS_LIST)
    except OSError:
        return
    operations.set_attribute(descriptor, ACCESS_LIST, access_list)


def copy_all(source: int, target: int, start: int = 0) -> int:
    """Append to `target` all that `source` has from `start` on, until nothing more comes. Returns where that was.

    Raises OSError.
    """
    position, in_kernel = start, True
    while True:
        if in_kernel:
            try:
                copied = operations.copy_range(source, target, _PIECE, position)
            except OSError as error:
                if error.errno not in _NO_COPY_RANGE:
                    raise
                in_kernel = False
                continue
            if not copied and position == start:
                # Some file systems say so of files that only look empty.
                in_kernel = False
                continue
        else:
            data = memoryview(os.pread(source, _PIECE, position))
            copied = len(data)
            while data:
                data = data[operations.write(target, data) :]
        if not copied:
            return position
        position += copied


def write_copy(source: int, status: os.stat_result, folder: Folder, name: str) -> tuple[int, int]:
    """Copy an open log to a temporary file for `name`, on disk. Returns its inode, and the bytes copied.

    Raises OSError; what there is of it then is the caller's to remove.
    """
    target = create_anew(folder, temporary(name))
    try:
        length = copy_all(source, target)
        make_alike(target, source, status)
        operations.fsync(target)
        return os.fstat(target).st_ino, length
    finally:
        os.close(target)


def begins_alike(log: int, copy: int) -> bool:
    """Whether a log still begins with all of its copy: it was not truncated since."""
    position = 0
    while piece := os.pread(copy, _PIECE, position):
        if os.pread(log, len(piece), position) != piece:
            return False
        position += len(piece)
    return True


def empty_copied(log: int, copy: int, *, keep_tail: bool) -> str | None:
    """Take out of a log what is in its copy, after what came since has been copied, too.

    With `keep_tail` the log keeps its end, of less than two blocks, which the copy gives up: nothing that is written
    meanwhile is lost. Where the file system cannot do that all is cut off, and what may be lost is returned as a
    sentence with a place for `{path}`.

    Raises OSError.
    """
    length = os.fstat(copy).st_size
    os.lseek(copy, 0, os.SEEK_END)
    if keep_tail:
        length = copy_all(log, copy, length)
        block = os.fstatvfs(log).f_bsize
        whole = length // block * block
        if whole and whole == os.fstat(log).st_size:
            whole -= block
        if whole:
            try:
                operations.truncate(copy, whole)
                operations.collapse(log, whole)
            except OSError as error:
                if error.errno not in _NO_COLLAPSE:
                    raise
                os.lseek(copy, 0, os.SEEK_END)
                length = copy_all(log, copy, whole)
            else:
                return None
    began = time.monotonic()
    length = copy_all(log, copy, length)
    operations.truncate(log, 0)
    took = max(1, round((time.monotonic() - began) * 1e6))
    return f"{{path}} was truncated: what was written to it in the {took} microseconds before that may be lost"
