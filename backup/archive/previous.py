"""What the parent snapshot says of a folder, so that what has not changed need not be read again."""

from __future__ import annotations

import os

import msgspec

from backup.errors import DamagedError
from backup.format.instant import instant_nanoseconds
from backup.format.node import FILE, NO_TIME, decode_name, mode_of
from backup.metadata import group_name, local_instant, user_name


class Entry(msgspec.Struct, gc=False):
    """Of a node of the parent what tells whether it still holds."""

    name: str
    type: str = ""
    mode: int = 0
    mtime: str = NO_TIME
    ctime: str = NO_TIME
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    content: list[str] | None = None
    subtree: str | None = None

    def subtree_id(self) -> bytes | None:
        """The id of a folder's tree."""
        return _id(self.subtree) if self.subtree is not None else None

    def content_ids(self) -> list[bytes]:
        """The ids of a file's blobs."""
        return list(map(_id, self.content or ()))


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""  # which no blob has


class _RawTree(msgspec.Struct):
    nodes: list[msgspec.Raw] | None = None


class _Tree(msgspec.Struct):
    nodes: list[Entry] | None = None


_decode_raw = msgspec.json.Decoder(_RawTree).decode
_decode = msgspec.json.Decoder(_Tree).decode

PreviousNodes = dict[bytes, tuple[bytes, Entry]]
"""By name: the node's JSON, and what it says."""


def parse_previous(tree: bytes) -> PreviousNodes:
    """The nodes of a tree. Raises DamagedError."""
    try:
        raws = _decode_raw(tree).nodes or []
        entries = _decode(tree).nodes or []
        return {decode_name(entry.name): (bytes(raw), entry) for raw, entry in zip(raws, entries, strict=True)}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"a tree is damaged: {error}") from None


def same_content(entry: Entry, status: os.stat_result, *, ignore_ctime: bool, ignore_inode: bool) -> bool:
    """Whether a file counts as unchanged: restic's rule."""
    return (
        entry.size == status.st_size
        and entry.type == FILE
        and same_instant(entry.mtime, status.st_mtime_ns)
        and (ignore_ctime or same_instant(entry.ctime, status.st_ctime_ns))
        and (ignore_inode or entry.inode == status.st_ino)
    )


def same_node(entry: Entry, status: os.stat_result) -> bool:
    """Whether all that the node holds is what it was; attributes are vouched for by the time of change.

    A file of which this is so has the same content, by any rule of `same_content`.
    """
    kind, mode = mode_of(status.st_mode)
    uid, gid = status.st_uid, status.st_gid
    return (
        entry.inode == status.st_ino
        and entry.type == kind
        and (kind != FILE or entry.size == status.st_size)
        and same_instant(entry.ctime, status.st_ctime_ns)
        and same_instant(entry.mtime, status.st_mtime_ns)
        and (entry.mode, entry.uid, entry.gid, entry.device_id) == (mode, uid, gid, status.st_dev)
        and entry.user == user_name(uid)
        and entry.group == group_name(gid)
        and (entry.type == "dir" or entry.links == status.st_nlink)
    )


def same_instant(text: str, nanoseconds: int) -> bool:
    """Whether the text, in whatever zone, says this time."""
    if local_instant(nanoseconds) == text:
        return True
    try:
        return instant_nanoseconds(text) == nanoseconds
    except DamagedError:
        return False
