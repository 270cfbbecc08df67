"""Snapshot files: which tree was the state of which paths, and when (doc/design.rst, "Snapshots")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from backup.errors import DamagedError
from backup.format.gotime import Moment, format_moment, parse_moment


class Summary(msgspec.Struct, frozen=True):
    """What the run that made a snapshot did. Times as Go prints them; sizes in bytes."""

    backup_start: str
    backup_end: str
    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    data_added: int = 0
    data_added_packed: int = 0
    total_files_processed: int = 0
    total_bytes_processed: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of some paths at one time."""

    moment: Moment
    tree: bytes | None
    """The id of the root tree; restic refuses a snapshot without one only when it is looked into."""
    paths: tuple[str, ...]
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parent: str | None = None
    original: str | None = None
    """The snapshot that this one is a rewritten copy of."""
    program_version: str = ""
    summary: Summary | None = None
    id: str = ""
    """The name of its file, in hexadecimal; empty until it is saved."""

    @property
    def time(self) -> datetime:
        """When it was made, to the microsecond, in the zone of the host that made it."""
        return self.moment.datetime()

    @property
    def time_ns(self) -> int:
        """When it was made, in nanoseconds since 1970."""
        return self.moment.nanoseconds

    @property
    def seconds(self) -> float:
        """When it was made, in seconds since 1970. Rounded here alone, so that two that show it are equal."""
        return self.time_ns / 1e9

    @property
    def short_id(self) -> str:
        """As people say it."""
        return self.id[:8]

    @property
    def root(self) -> bytes:
        """Its tree. Raises DamagedError where it has none."""
        if self.tree is None:
            raise DamagedError(f"snapshot {self.short_id} has no tree")
        return self.tree


class _Stored(msgspec.Struct, omit_defaults=True):
    time: str
    parent: str | None = None
    tree: str | None = None
    paths: list[str] | None = None
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: list[str] | None = None
    tags: list[str] | None = None
    original: str | None = None
    program_version: str = ""
    summary: Summary | None = None


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """As restic writes it. What is not UTF-8 in a path or name becomes U+FFFD, as Go has it."""
    return msgspec.json.encode(
        _Stored(
            format_moment(snapshot.moment),
            snapshot.parent,
            snapshot.tree.hex() if snapshot.tree is not None else None,
            [_utf8(path) for path in snapshot.paths],
            _utf8(snapshot.hostname),
            _utf8(snapshot.username),
            snapshot.uid,
            snapshot.gid,
            [_utf8(exclude) for exclude in snapshot.excludes] or None,
            [_utf8(tag) for tag in snapshot.tags] or None,
            snapshot.original,
            snapshot.program_version,
            snapshot.summary,
        )
    )


def parse_snapshot(data: bytes, id: str = "") -> Snapshot:
    """The reverse. Raises DamagedError."""
    try:
        stored = msgspec.json.decode(data, type=_Stored)
        tree = bytes.fromhex(stored.tree) if stored.tree is not None else None
        for name in (stored.parent, stored.original):
            if name is not None and len(bytes.fromhex(name)) != 32:
                raise DamagedError(f"snapshot {id[:8]} names another that cannot be")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedError(f"snapshot {id[:8]} is not one: {error}") from None
    if tree is not None and len(tree) != 32:
        raise DamagedError(f"snapshot {id[:8]} has a tree whose id has {len(tree)} bytes; expected 32")
    return Snapshot(
        moment=parse_moment(stored.time),
        tree=tree,
        paths=tuple(stored.paths or ()),
        hostname=stored.hostname,
        username=stored.username,
        uid=stored.uid,
        gid=stored.gid,
        excludes=tuple(stored.excludes or ()),
        tags=tuple(stored.tags or ()),
        parent=stored.parent,
        original=stored.original,
        program_version=stored.program_version,
        summary=stored.summary,
        id=id,
    )


def _utf8(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
