"""What the last run on this host found in each folder, so that unchanged ones need not be loaded, compared, encoded.

A record says: this folder, in this state, became that tree. It is believed only where all of this holds:

- the file opens with the repository's key, so nobody else wrote it and no bit of it is wrong;
- it was written with the snapshot that is now the parent, so all that its trees refer to is held by a snapshot;
- every index file of then is still there, so no blob has been lost from the index since;
- users and groups have the names that they had, since trees hold names;
- the state is the same: name, inode, size, times and mode of every entry of the folder. Of a folder that is not
  looked into, because a watcher vouches for it, at least its own inode and times.

Without a cache, or with one that is not believed, the same snapshot is made, later.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backup.errors import DamagedError
from backup.format.crypto import MasterKey
from backup.metadata import group_name, user_name
from kit.files import write_durably

_DIGEST = 16
_RECORD = struct.Struct("<16s16s16s16s32sQQQ?")
"""Digests of its place and of the place above, then the fields of Record."""
_VERSION = 2


class Record(NamedTuple):
    """What a folder was."""

    own: bytes
    """Digest of the folder's own inode and times."""
    entries: bytes
    """Digest of the state of all that is in it, but not of what is in its folders."""
    tree: bytes
    files: int
    folders: int
    """In it, at any depth."""
    size: int
    whole: bool
    """Whether nothing in it, at any depth, went wrong or was left for the next run to say again."""


class _Head(msgspec.Struct):
    version: int
    context: bytes
    snapshot: str
    indexes: list[str]
    users: dict[int, str]
    groups: dict[int, str]
    trees: list[bytes]


def own_state(status: os.stat_result) -> bytes:
    """Digest of what tells one folder from another, and from itself at another time."""
    return _digest((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode))


def entries_state(entries: Sequence[tuple[bytes, os.stat_result]]) -> bytes:
    """Digest of the entries of a folder that are saved, sorted by name. A change of owner changes st_ctime."""
    return _digest(
        [(name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_mode, s.st_dev) for name, s in entries]
    )


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(marshal.dumps(value, 2), digest_size=_DIGEST).digest()


class FolderCache:
    """The records of the last run, and those of this one."""

    def __init__(self, file: Path | None, key: MasterKey, context: Iterable[str]) -> None:
        """`context`: what else a tree depends on. Without a file nothing is remembered."""
        self._file = file
        self._key = key
        self._context = _digest(list(context))
        self._old: dict[bytes, bytes] = {}
        self._new: dict[bytes, bytes] = {}
        self._passed: set[bytes] = set()
        self._users: set[int] = set()
        self._groups: set[int] = set()
        self._trees: dict[bytes, bytes] = {}
        self._new_trees: list[bytes] = []
        self.usable = False
        """Whether there are records of the last run."""

    @property
    def wanted(self) -> bool:
        """Whether this run's records are kept."""
        return self._file is not None

    def load(self, snapshot: str, indexes: Iterable[str]) -> None:
        """Read what the run that made this snapshot left; whatever is not believed is as if it were not there."""
        if self._file is None:
            return
        try:
            content = self._key.open(self._file.read_bytes())
            length = int.from_bytes(content[:4], "little")
            head = msgspec.msgpack.decode(content[4 : 4 + length], type=_Head)
            records = memoryview(content)[4 + length :]
            believed = (
                head.version == _VERSION
                and head.context == self._context
                and head.snapshot == snapshot
                and set(head.indexes) <= set(indexes)
                and all(user_name(uid) == name for uid, name in head.users.items())
                and all(group_name(gid) == name for gid, name in head.groups.items())
                and len(records) % _RECORD.size == 0
            )
        except (OSError, DamagedError, msgspec.MsgspecError):
            return
        if believed:
            self._old = {
                bytes(records[at : at + _DIGEST]): bytes(records[at : at + _RECORD.size])
                for at in range(0, len(records), _RECORD.size)
            }
            self._users.update(head.users)
            self._groups.update(head.groups)
            self._trees = {hashlib.sha256(tree).digest(): tree for tree in head.trees}
            self.usable = True

    def distrust(self) -> None:
        """Begin anew, as if there were no records of the last run."""
        self._old, self._new, self._passed = {}, {}, set()
        self._trees, self._new_trees = {}, []
        self.usable = False

    def find(self, place: bytes) -> Record | None:
        """What the folder at this place in the snapshot was."""
        found = self._old.get(_digest(place))
        return Record(*_RECORD.unpack(found)[2:]) if found is not None else None

    def tree(self, id: bytes) -> bytes | None:
        """The content of a tree above the targets; the repository has it, as long as this is usable."""
        return self._trees.get(id)

    def add_tree(self, tree: bytes) -> None:
        """Keep the content of a tree above the targets: it is compared in each run, and small."""
        if self.wanted:
            self._new_trees.append(tree)

    def owners(self, status: os.stat_result) -> None:
        """Note whose names are in a tree."""
        self._users.add(status.st_uid)
        self._groups.add(status.st_gid)

    def add(self, place: bytes, above: bytes, record: Record) -> None:
        """Note what a folder is now; `above` is the place of the folder that it is in."""
        digest = _digest(place)
        self._new[digest] = _RECORD.pack(digest, _digest(above), *record)

    def pass_by(self, place: bytes) -> None:
        """Keep the records of a folder that was not looked at, and of all below."""
        self._passed.add(_digest(place))

    def _kept(self) -> list[bytes]:
        """Records of folders in those that were not looked at."""
        below: dict[bytes, bool] = dict.fromkeys(self._passed, True)
        for digest in self._old:
            way = []
            while digest not in below:
                way.append(digest)
                record = self._old.get(digest)
                above = record[_DIGEST : 2 * _DIGEST] if record is not None else digest
                if above == digest:
                    below[digest] = False
                digest = above
            below.update(dict.fromkeys(way, below[digest]))
        return [record for digest, record in self._old.items() if below[digest] and digest not in self._new]

    def save(self, snapshot: str, indexes: Iterable[str]) -> None:
        """Keep this run's records for the next. Nothing is raised: a cache that cannot be written is none."""
        if self._file is None:
            return
        head = msgspec.msgpack.encode(
            _Head(
                _VERSION,
                self._context,
                snapshot,
                sorted(indexes),
                {uid: user_name(uid) for uid in self._users},
                {gid: group_name(gid) for gid in self._groups},
                self._new_trees,
            )
        )
        content = b"".join((len(head).to_bytes(4, "little"), head, *self._new.values(), *self._kept()))
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(self._file, self._key.seal(content), mode=0o600)
        except OSError:
            return
