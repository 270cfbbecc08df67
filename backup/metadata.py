"""What a file system says of an entry, as a node of a tree; and back onto an entry.

Nothing here follows a symbolic link. Times, owners, modes and extended attributes (with which ACLs and file
capabilities come) are read as restic reads them.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from backup.format.instant import NANOSECONDS, format_minute, format_second, instant_nanoseconds
from backup.format.node import BLOCK_DEVICE, CHARACTER_DEVICE, FILE, SYMLINK, Node, mode_of

TICK = 10_000_000
"""Nanoseconds: the longest time between two steps of the clock by which Linux dates changes (100 Hz)."""

_NO_ATTRIBUTES = frozenset((errno.ENOTSUP, errno.ENODATA, errno.ENOSYS))
"""How a file system says that it has no extended attributes, or no longer this one."""


# --- Reading ---


@lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """The name of a user of this host; empty where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""


@lru_cache(maxsize=4096)
def group_name(gid: int) -> str:
    """The name of a group of this host; empty where there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return ""


@lru_cache(maxsize=8192)
def _local_minute(minute: int) -> tuple[str, str]:
    try:
        offset = time.localtime(minute * 60).tm_gmtoff
    except (OverflowError, OSError):  # years that the C library cannot count
        offset = 0
    return format_minute(minute, offset)


def local_instant(nanoseconds: int) -> str:
    """A time in this host's zone, as it was or will be then."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    minute, second = divmod(seconds, 60)
    before, after = _local_minute(minute)
    return before + format_second(second, fraction) + after


def read_metadata(
    path: bytes | int,
    status: os.stat_result,
    warn: Callable[[str], None],
    *,
    name: bytes = b"",
    with_atime: bool = False,
) -> Node:
    """The node of an entry: all but `content` and `subtree`. `status` is its lstat; `name` is else the path's last.

    A file or folder that is open can be given by its descriptor, with its name.

    Without `with_atime` the time of access is that of modification, as restic has it, so that reading a file
    changes no tree. What cannot be read goes to `warn` as a sentence without the path, and the node is without it.
    Raises OSError for a symbolic link that cannot be read, and for a type that restic has none for.
    """
    kind, mode = mode_of(status.st_mode)
    mtime = local_instant(status.st_mtime_ns)
    node = Node(
        name if name or isinstance(path, int) else path.rpartition(b"/")[2],
        kind,
        mode,
        mtime,
        local_instant(status.st_atime_ns) if with_atime else mtime,
        mtime if status.st_ctime_ns == status.st_mtime_ns else local_instant(status.st_ctime_ns),
        status.st_uid,
        status.st_gid,
        user_name(status.st_uid),
        group_name(status.st_gid),
        status.st_ino,
        status.st_dev,
    )
    if kind == FILE:
        node.size = status.st_size
        node.links = status.st_nlink
    elif kind == SYMLINK:
        assert isinstance(path, bytes)
        node.linktarget = os.readlink(path)  # noqa: PTH115  # paths are bytes here
        node.links = status.st_nlink
    elif kind in (BLOCK_DEVICE, CHARACTER_DEVICE):
        node.device = status.st_rdev
        node.links = status.st_nlink
    elif not kind:
        raise OSError(errno.EINVAL, f"is of a type that cannot be stored (mode {status.st_mode:o})")
    attributes = read_attributes(path, warn)
    if attributes:
        node.extended_attributes = attributes
    return node


def read_attributes(path: bytes | int, warn: Callable[[str], None]) -> list[tuple[str, bytes]]:
    """(name, value) of the extended attributes, in the file system's order."""
    follow = isinstance(path, int)  # for a descriptor there is nothing else
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            warn(f"its extended attributes cannot be listed: {error.strerror}")
        return []
    attributes = []
    for name in names:
        try:
            attributes.append((name, os.getxattr(path, name, follow_symlinks=follow)))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                warn(f"its extended attribute {name!r} cannot be read: {error.strerror}")
    return attributes


# --- Restoring ---


@lru_cache(maxsize=4096)
def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=4096)
def _gid_of(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def owner_of(node: Node, *, by_name: bool) -> tuple[int, int]:
    """User and group to give an entry to: the numbers of the node, or of its names where this host has them."""
    if not by_name:
        return node.uid, node.gid
    uid = _uid_of(node.user) if node.user else None
    gid = _gid_of(node.group) if node.group else None
    return node.uid if uid is None else uid, node.gid if gid is None else gid


class Applier:
    """Gives entries the metadata of nodes.

    Each method raises nothing for what this process may not do, or the file system cannot: it gives back a sentence
    for each such thing, without the path. Owners come first, since a change of them takes away capabilities and the
    setuid bit; then attributes, then the mode, which has the last word over an ACL's mask; times come last.
    """

    def __init__(self, *, by_name: bool = False, select_attribute: Callable[[str], bool] | None = None) -> None:
        self._by_name = by_name
        self._select = select_attribute

    def to_descriptor(self, descriptor: int, node: Node) -> list[str]:
        """To a file or a folder that is open."""
        problems: list[str] = []
        owner = owner_of(node, by_name=self._by_name)
        mode = node.permissions
        try:
            os.fchown(descriptor, *owner)
        except OSError as error:
            problems.append(_say("owner", error))
            # Not to be had: what runs as whoever restores, where it should run as somebody else.
            mode &= ~0o6000
            with suppress(OSError):  # a group that one is in can be given
                os.fchown(descriptor, -1, owner[1])
        self._apply_attributes(descriptor, node, problems, follow=True)
        try:
            os.fchmod(descriptor, mode)
        except OSError as error:
            problems.append(_say("mode", error))
        try:
            os.utime(descriptor, ns=_times(node))
        except (OSError, OverflowError) as error:
            problems.append(_say("times", error))
        return problems

    def to_entry(self, folder: int, name: bytes, node: Node) -> list[str]:
        """To an entry of an open folder that must not be opened: a symbolic link, a device, a FIFO."""
        problems: list[str] = []
        mode = node.permissions
        try:
            os.chown(name, *owner_of(node, by_name=self._by_name), dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            problems.append(_say("owner", error))
            mode &= ~0o6000
        # Only system calls on paths know these attributes; this path cannot lead elsewhere than to the entry.
        self._apply_attributes(b"/proc/self/fd/%d/%s" % (folder, name), node, problems, follow=False)
        if node.type != SYMLINK:
            try:
                _chmod(folder, name, node, mode)
            except OSError as error:
                problems.append(_say("mode", error))
        try:
            os.utime(name, ns=_times(node), dir_fd=folder, follow_symlinks=False)
        except (OSError, OverflowError) as error:
            problems.append(_say("times", error))
        return problems

    def _apply_attributes(self, entry: int | bytes, node: Node, problems: list[str], *, follow: bool) -> None:
        wanted = node.extended_attributes
        select = self._select
        try:
            present = os.listxattr(entry, follow_symlinks=follow)
        except OSError:
            present = []
        if not wanted and not present:
            return
        names = set()
        for name, value in wanted:
            names.add(name)
            if select is not None and not select(name):
                continue
            try:
                os.setxattr(entry, name, value, follow_symlinks=follow)
            except (OSError, ValueError) as error:
                problems.append(_say(f"extended attribute {name[:255]!r}", error))
        for name in present:
            if name in names or not _removable(name) or (select is not None and not select(name)):
                continue
            try:
                os.removexattr(entry, name, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    problems.append(_say(f"absence of the extended attribute {name!r}", error))


def _removable(name: str) -> bool:
    """Whether an entry can be without it: labels of security modules are not removed."""
    return name.startswith(("user.", "trusted.", "system.posix_acl_")) or name == "security.capability"


def _chmod(folder: int, name: bytes, node: Node, mode: int) -> None:
    # Linux has no chmod that does not follow links; by a descriptor of the entry itself it cannot be led astray.
    entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if mode_of(os.fstat(entry).st_mode)[0] != node.type:
            raise OSError(errno.EEXIST, "another entry was put in its place")
        Path(f"/proc/self/fd/{entry}").chmod(mode)
    finally:
        os.close(entry)


def _times(node: Node) -> tuple[int, int]:
    mtime = instant_nanoseconds(node.mtime)
    return mtime if node.atime == node.mtime else instant_nanoseconds(node.atime), mtime


def _say(what: str, error: Exception) -> str:
    return f"{what}: {(error.strerror if isinstance(error, OSError) else None) or error}"
