"""Files of a snapshot that come from streams: the dump of a database, or what a program prints."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from backup.archive.report import Became, Counts, OnEntry
from backup.archive.saving import Saving
from backup.format.gotime import Moment, format_moment
from backup.format.node import Node, encode_node, encode_tree, mode_of
from kit.errors import UsageError


class Readable(Protocol):
    """What is read until its end."""

    def readinto(self, into: memoryview, /) -> int | None:
        """Put some bytes into `into`; how many: 0 at the end, and only where whatever wrote them did well.

        Raises OSError and HostwardError; then there is no snapshot.
        """


@dataclass(frozen=True, slots=True)
class Stream:
    """One file."""

    path: str
    """Where it is in the snapshot, in full."""
    open: Callable[[], AbstractContextManager[Readable]]
    """Called when its turn comes, once."""
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    mtime: Moment | None = None
    """None: the time of the snapshot."""


class Branch(dict[bytes, "Branch | Stream"]):
    """A folder of streams, and of folders of them, by name."""


def plan_streams(streams: Sequence[Stream], taken: Container[bytes] = ()) -> Branch:
    """The folders in which they lie. `taken` are the topmost names that a snapshot has from elsewhere.

    Raises UsageError for a path that names no file, is there twice, or lies within another or in what is taken.
    """
    top = Branch()
    for stream in streams:
        *folders, name = _components(stream.path)
        if (folders or [name])[0] in taken:
            raise UsageError(
                f"{stream.path} would lie among the files to be saved, in the same folder of the snapshot"
            )
        folder = top
        for one in folders:
            below = folder.setdefault(one, Branch())
            if isinstance(below, Stream):
                raise UsageError(f"{stream.path} would lie within {below.path}, which is a file of the same snapshot")
            folder = below
        if name in folder:
            raise UsageError(f"{stream.path} would be twice in the same snapshot, or have other files below it")
        folder[name] = stream
    return top


def clean_path(path: str) -> str:
    """As a snapshot names it. Raises UsageError for one that names no file."""
    return "/" + os.fsdecode(b"/".join(_components(path)))


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of what is done."""

    counts: Counts
    entered: Callable[[bytes], None]
    """What is come to."""
    on_entry: OnEntry | None


def save_streams(saving: Saving, planned: Branch, moment: Moment, told: Told) -> dict[bytes, bytes]:
    """Save them one after the other; the nodes of the topmost entries, by name. Raises what the streams raise."""
    return {name: _save(saving, name, entry, b"/", moment, told) for name, entry in planned.items()}


def _save(saving: Saving, name: bytes, entry: Branch | Stream, above: bytes, moment: Moment, told: Told) -> bytes:
    path = posixpath.join(above, name)
    told.entered(path)
    if isinstance(entry, Stream):
        node = _save_stream(saving, name, entry, moment)
        told.counts.files_new += 1
        told.counts.total_bytes_processed += node.size
        told.counts.bytes_read += node.size
    else:
        nodes = {inner: _save(saving, inner, one, path, moment, told) for inner, one in entry.items()}
        node = _made_up(name, 0o040755, moment)
        node.subtree = saving.tree(encode_tree([nodes[inner] for inner in sorted(nodes)]))
        told.counts.dirs_new += 1
        path += b"/"
    if told.on_entry is not None:
        told.on_entry(Became.NEW, path, node.size)
    return encode_node(node)


def _save_stream(saving: Saving, name: bytes, stream: Stream, moment: Moment) -> Node:
    content: list[bytes] = []
    size = 0
    with stream.open() as readable:

        def read(into: memoryview) -> int:
            nonlocal size
            count = readable.readinto(into) or 0
            size += count
            return count

        saving.stream(read, content.extend)
        saving.drain()
    node = _made_up(name, 0o100000 | stream.mode, stream.mtime or moment)
    node.size, node.content, node.uid, node.gid = size, content, stream.uid, stream.gid
    return node


def _made_up(name: bytes, st_mode: int, moment: Moment) -> Node:
    """A node of what is in no file system."""
    kind, mode = mode_of(st_mode)
    time = format_moment(moment)
    return Node(name, kind, mode, time, time, time)


def _components(path: str) -> list[bytes]:
    components = posixpath.normpath(b"/" + os.fsencode(path)).lstrip(b"/").split(b"/")
    if components == [b""]:
        raise UsageError(f'"{path}" names no file: expected a name for what comes from the stream')
    return components
