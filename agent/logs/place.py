"""What a follower remembers of files: which they are, and how far they were read."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import NamedTuple

import msgspec

SPAN = 1024
"""Bytes at the beginning, and before the place, by which content is known again."""


class Place(msgspec.Struct, array_like=True):
    """How far one file was read."""

    name: bytes
    """In its folder, when it was last seen."""
    family: bytes
    """The log that it is, or is a rotated piece of (names.family)."""
    device: int
    inode: int
    offset: int = 0
    """Where the first byte lies that was not read."""
    mark: bytes = b""
    """Digest of what lies at the beginning and before `offset`; empty where that is 0."""
    skipping: bool = False
    """Whether `offset` lies within a line that was too long, and was given already."""
    size: int = 0
    """When it was last seen."""
    changed: int = 0
    """Its st_ctime_ns then; 0 where it is to be looked at again in any case."""
    copy: bool = False
    """Whether its content was that of another file, through which it was read: `offset` follows that one's."""

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode


class Gone(msgspec.Struct, array_like=True):
    """A place whose content is not there any more; it may come back."""

    place: Place
    since: float
    """Seconds since the epoch."""


class Folder(msgspec.Struct, array_like=True):
    """The places in one folder."""

    path: bytes
    places: list[Place]
    gone: list[Gone]
    packed: list[tuple[int, int]]
    """The identities of compressed pieces, which are not read."""


class Places(msgspec.Struct, array_like=True):
    """All that a follower remembers."""

    patterns: list[bytes] = []
    """What was followed. What another pattern means is met for the first time."""
    looked: float = 0
    """When it was last looked, in seconds since the epoch."""
    folders: list[Folder] = []


class Seen(NamedTuple):
    """A file in a folder."""

    folder: bytes
    name: bytes
    family: bytes
    first: bool
    """Whether it is met for the first time because nobody asked for it before."""
    stat: os.stat_result

    @property
    def path(self) -> bytes:
        return os.path.join(self.folder, self.name)  # noqa: PTH118 - bytes

    @property
    def identity(self) -> tuple[int, int]:
        return self.stat.st_dev, self.stat.st_ino

    @property
    def is_rotated(self) -> bool:
        return self.name != self.family


def mark(descriptor: int, offset: int) -> bytes | None:
    """The mark of a file for a place, None where the file is shorter than that. Raises OSError."""
    if offset == 0:
        return b""
    head = os.pread(descriptor, min(SPAN, offset), 0)
    start = max(0, offset - SPAN)
    tail = os.pread(descriptor, offset - start, start)
    if len(head) < min(SPAN, offset) or len(tail) < offset - start:
        return None
    return blake2b(head + tail, digest_size=8).digest()


def holds(descriptor: int, place: Place) -> bool:
    """Whether the file still has, before the place, what was read. Raises OSError."""
    return mark(descriptor, place.offset) == place.mark


def is_beginning(descriptor: int, other: int) -> bool:
    """Whether one file's content is the beginning of another's, as far as both ends of it tell. Raises OSError."""
    size = os.fstat(descriptor).st_size
    content = mark(descriptor, size)
    return content is not None and content == mark(other, size)
