"""What is read of a repository for people who look into it. Hosts wrote all that is in it, maybe as enemies."""

from __future__ import annotations

from typing import IO

from backup.errors import DamagedError, RepositoryError
from backup.format.node import FILE, TYPES, Node
from backup.format.snapshot import Snapshot
from backup.maintain.true_index import load_true_index
from backup.repository.repository import Repository
from backup.restore.dump import dump
from backup.restore.locate import components, find_entry, find_folder
from backup.stores.contract import FileKind, FileMissingError, StoreError
from collector.backups.browse.messages import (
    LONGEST_PATH,
    MOST_ENTRIES,
    MOST_SNAPSHOTS,
    Content,
    Entry,
    Folder,
    SnapshotLine,
    Snapshots,
)
from kit.terminal import bounded

LONGEST = 256
"""Characters of a word that a host chose."""
MOST_WORDS = 20
_MOST_TIME = 253_402_300_799.0


def snapshots(repository: Repository, start: int) -> Snapshots:
    """A part of them, the newest first. Raises RepositoryError."""
    lines: list[SnapshotLine] = []
    unreadable = 0
    for name, _ in repository.names(FileKind.SNAPSHOT):
        try:
            lines.append(_line(repository.load_snapshot(name)))
        except FileMissingError:  # forgotten just now
            continue
        except (DamagedError, StoreError, MemoryError):
            unreadable += 1
    lines.sort(key=lambda line: (line.time, line.id), reverse=True)
    return Snapshots(snapshots=lines[start : start + MOST_SNAPSHOTS], total=len(lines), unreadable=unreadable)


def _load_index(repository: Repository) -> None:
    """As far as it is true: what some host added to it must not hide the rest. Raises RepositoryError."""
    load_true_index(repository, on_damaged=lambda _name, _error: None, never_good=lambda _pack: True)


def folder(repository: Repository, name: str, path: bytes, start: int) -> Folder:
    """A part of a folder. Raises RepositoryError where there is none."""
    snapshot = repository.load_snapshot(name)
    _load_index(repository)
    nodes = repository.load_tree(find_folder(repository, snapshot.root, path))
    shown = nodes[start : start + MOST_ENTRIES]
    return Folder(snapshot=_line(snapshot), entries=[_entry(node) for node in shown], total=len(nodes))


def content_of(repository: Repository, name: str, path: bytes) -> tuple[Content, bytes]:
    """What `write` is going to write, and the tree in which it is. Raises RepositoryError for what is not there."""
    tree = repository.load_snapshot(name).root
    _load_index(repository)
    node = find_entry(repository, tree, path)
    last = b"".join(components(path)[-1:])
    if node is None or node.type != FILE:
        find_folder(repository, tree, path)
        return Content(name=last, size=None), tree
    return Content(name=last, size=node.size), tree


def write(repository: Repository, tree: bytes, path: bytes, out: IO[bytes]) -> None:
    """A file's content, or a folder as a tar archive. Raises RepositoryError; then what was written is not whole."""
    dump(repository, tree, path, out)


def _line(snapshot: Snapshot) -> SnapshotLine:
    return SnapshotLine(
        id=snapshot.id,
        time=min(max(snapshot.seconds, 0.0), _MOST_TIME),
        hostname=bounded(snapshot.hostname, LONGEST),
        paths=[bounded(path, LONGEST) for path in snapshot.paths[:MOST_WORDS]],
        tags=[bounded(tag, LONGEST) for tag in snapshot.tags[:MOST_WORDS]],
    )


def _entry(node: Node) -> Entry:
    try:
        mtime = node.mtime_ns / 1e9
    except RepositoryError:  # a folder is shown whatever one time in it says
        mtime = 0.0
    return Entry(
        name=node.name[:LONGEST_PATH],
        type=node.type if node.type in TYPES else "unknown",
        size=min(max(node.size, 0), 1 << 53),
        mtime=min(max(mtime, 0.0), _MOST_TIME),
        permissions=node.permissions,
        target=bounded(node.linktarget.decode("utf-8", "backslashreplace"), LONGEST),
    )
