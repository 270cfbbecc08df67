"""What home's process asks of the one that looks into a repository, and what that answers: JSON, a line each.

A Content is followed by its bytes, up to the end of the output. Bytes in JSON are base64.
"""

from __future__ import annotations

import msgspec

from collector.backups.keeping.messages import Access, Limits

FILE = "file"
FOLDER = "dir"
"""Types of entries, as `backup.format.node` has them."""
MOST_ENTRIES = 1000
"""Of a folder, in one answer."""
MOST_SNAPSHOTS = 250
"""In one answer: their words may be long."""
LONGEST_PATH = 4096
"""Bytes of a path that can be asked for: what is longer, no system could restore under it."""


class ListSnapshots(msgspec.Struct, frozen=True, kw_only=True, tag="snapshots"):
    """List a part of the snapshots."""

    start: int = 0
    """How many are passed over."""


class ListFolder(msgspec.Struct, frozen=True, kw_only=True, tag="folder"):
    """List a part of a folder."""

    snapshot: str
    """Its id, 64 digits."""
    path: bytes
    start: int = 0
    """How many entries are passed over."""


class Fetch(msgspec.Struct, frozen=True, kw_only=True, tag="fetch"):
    """Give a file's content; of a folder a tar archive."""

    snapshot: str
    path: bytes


class SnapshotLine(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot, by its own word."""

    id: str
    time: float
    """When it says it was made, seconds since the epoch."""
    hostname: str
    paths: list[str]
    """The first of them."""
    tags: list[str]


class Snapshots(msgspec.Struct, frozen=True, kw_only=True, tag="snapshots"):
    """The answer to ListSnapshots, the newest first."""

    snapshots: list[SnapshotLine]
    total: int
    unreadable: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a folder."""

    name: bytes
    """As the file system has it; cut where it is longer than LONGEST_PATH."""
    type: str
    """As `backup.format.node` has them; cut where it is none of those."""
    size: int
    mtime: float
    permissions: int
    target: str
    """Of a symlink, in words."""


class Folder(msgspec.Struct, frozen=True, kw_only=True, tag="folder"):
    """The answer to ListFolder: entries by their names."""

    snapshot: SnapshotLine
    entries: list[Entry]
    total: int


class Content(msgspec.Struct, frozen=True, kw_only=True, tag="content"):
    """The answer to Fetch; what it announces follows."""

    name: bytes
    """The last part of the path; '' for all of the snapshot."""
    size: int | None
    """Bytes of a file; None for an archive, whose size shows at its end."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The answer where something went wrong."""

    message: str


Task = ListSnapshots | ListFolder | Fetch
Answer = Snapshots | Folder | Content | Failed


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The one line that the process reads. Its standard input stays open: at its end the process ends."""

    access: Access
    limits: Limits
    task: Task
