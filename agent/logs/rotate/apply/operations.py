"""Every system call of rotation that changes anything, so that tests can end the process, or fail, at each of them.

Others call these as `operations.name(…)`, never under a name of their own. Folders are descriptors: a name cannot be
redirected by whoever replaces a folder on the way to it. All raise OSError.
"""

from __future__ import annotations

import errno
import os


def rename(old: str, new: str, *, old_folder: int, new_folder: int) -> None:
    os.rename(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)


def unlink(name: str, *, folder: int) -> None:
    os.unlink(name, dir_fd=folder)


def create(name: str, *, folder: int, mode: int = 0o600, flags: int = os.O_WRONLY) -> int:
    """A descriptor of a file that did not exist."""
    return os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)


def fchmod(descriptor: int, mode: int) -> None:
    os.fchmod(descriptor, mode)


def fchown(descriptor: int, uid: int, gid: int) -> None:
    os.fchown(descriptor, uid, gid)


def set_times(descriptor: int, accessed: int, modified: int) -> None:
    """Nanoseconds."""
    os.utime(descriptor, ns=(accessed, modified))


def set_attribute(descriptor: int, name: str, value: bytes) -> None:
    os.setxattr(descriptor, name, value)


def write(descriptor: int, data: bytes | memoryview) -> int:
    return os.write(descriptor, data)


def copy_range(source: int, target: int, count: int, offset: int) -> int:
    """Copy inside the kernel, from `offset` of the source to the target's position. Returns bytes, 0 at the end."""
    return os.copy_file_range(source, target, count, offset_src=offset)


def truncate(descriptor: int, length: int) -> None:
    os.ftruncate(descriptor, length)


def collapse(descriptor: int, length: int) -> None:
    """Take the first `length` bytes, whole blocks, out of a file. OSError where the file system cannot."""
    from agent.logs.rotate.apply.collapse import collapse_range  # ctypes takes longer to load than a rotation

    collapse_range(descriptor, length)


def fsync(descriptor: int) -> None:
    os.fsync(descriptor)


def spawn(program: str, arguments: list[str], environment: dict[str, str], moves: list[tuple[int, int]]) -> int:
    """Start a program that finds our descriptors as `(its, ours)`. Returns its process id."""
    actions = [(os.POSIX_SPAWN_DUP2, ours, its) for its, ours in moves]
    signals = _IGNORED_BY_PYTHON
    try:
        return os.posix_spawnp(program, arguments, environment, file_actions=actions, setsigdef=signals)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script that does not say by what it is run.
    words = _by_shell(program, arguments)
    return os.posix_spawn(words[0], words, environment, file_actions=actions, setsigdef=signals)


def _by_shell(program: str, arguments: list[str]) -> list[str]:
    return ["/bin/sh", program, *arguments[1:]]


def spawn_as(
    uid: int,
    gid: int,
    program: str,
    arguments: list[str],
    environment: dict[str, str],
    moves: list[tuple[int, int]],
) -> int:
    """The same, as a user who cannot become us again. What hinders its start it writes where its errors go."""
    import signal  # takes as long to load as ten logs to rotate, and could not be read by every user

    process = os.fork()
    if process:
        return process
    try:
        for its, ours in moves:
            os.dup2(ours, its)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvpe(program, arguments, environment)  # noqa: S606  # nosec B606  # the administrator's program
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
        words = _by_shell(program, arguments)
        os.execve(words[0], words, environment)  # noqa: S606  # nosec B606
    except OSError as error:
        os.write(2, f"error: cannot execute '{program}': {error.strerror}\n".encode(errors="surrogateescape"))
    finally:
        os._exit(1)


_IGNORED_BY_PYTHON = (13, 25)
"""SIGPIPE, SIGXFSZ."""
