"""What a place for repositories must do. Every store passes the same conformance suite.

A repository is a set of small immutable files, each of a kind, each named by the SHA-256 of its content (but for the
one file `config`). So a store needs no update, no rename and no append: it saves whole files, loads ranges of them,
lists and removes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backup.errors import RepositoryError

PIECE = 64 * 1024
"""Bytes. What goes over a network goes in pieces of at most this, each told to the store's `pace`."""

_NAME = re.compile(r"[0-9a-f]{64}")


class FileKind(StrEnum):
    """Kinds of files, by the folder that restic's layout has for them (doc/design.rst, "Repository Layout")."""

    CONFIG = "config"
    """One file, at the top; its name is always `config`."""
    KEY = "keys"
    LOCK = "locks"
    SNAPSHOT = "snapshots"
    INDEX = "index"
    PACK = "data"


LONGEST = {
    FileKind.CONFIG: 1 << 20,
    FileKind.KEY: 1 << 20,
    FileKind.LOCK: 1 << 20,
    FileKind.SNAPSHOT: 1 << 28,
    FileKind.INDEX: 1 << 28,
    FileKind.PACK: 1 << 31,
}
"""Bytes of a file that is loaded as a whole: what a place offers is proven when it was read, and may have no end.

restic ends an index at some 8 MiB, and a pack soon after 128.
"""


class StoreError(RepositoryError):
    """An operation failed. Trying again may help unless it is `permanent` (refused, not there, no such place)."""

    permanent = False


class PermanentStoreError(StoreError):
    """Trying again will not help: no access, a full quota, a place that is not what it should be."""

    permanent = True


class FileMissingError(PermanentStoreError):
    """There is no such file."""


class FileExistsStoreError(PermanentStoreError):
    """There is such a file already, and it may not be replaced (`config` at creation)."""


class AppendOnlyError(PermanentStoreError):
    """Nothing but locks can be removed from this place."""


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """Content that was written to a local file first; a store may move it away, else it removes it once saved."""

    path: Path
    size: int
    """Bytes."""
    trees: bool = False
    """Whether it is a pack of trees, which a cache keeps."""


def is_name(kind: FileKind, name: str) -> bool:
    """Whether a file of this kind can have this name: a SHA-256 in hexadecimal, or `config`."""
    return name == "config" if kind is FileKind.CONFIG else _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Pace:
    """Who is told of all that is sent and received, in pieces of bytes, and may make the store wait."""

    before_sending: Callable[[int], None]
    after_receiving: Callable[[int], None]


class Store(ABC):
    """A place that holds one repository.

    Operations may be called by several threads at once. After a fork the child may go on with the store, provided
    that no operation ran at that moment: connections are the process's own, and made where there is none yet.
    Every operation raises StoreError, of the kinds above, and nothing else; so does one with a name that `is_name`
    refuses, which is never looked for.
    """

    location: str
    """As shown to people, without secrets: `/srv/repo`, `sftp:user@host:/srv/repo`, `rest:https://host/repo/`."""
    connections: int = 5
    """How many operations at once make sense."""
    pace: Pace | None = None
    is_remote: bool = True
    """Whether what is read comes over a network, so that a copy on this host's disk is worth having."""

    @abstractmethod
    def create(self) -> None:
        """Make the place ready for a repository: folders, bucket. What is there stays as it is."""

    @abstractmethod
    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        """Store a file, durable when this returns (as far as the place promises), visible only as a whole.

        A file of that name is replaced (its content is the same by its name), but for `config`:
        FileExistsStoreError. A spooled file is gone after success and still there after a failure.
        """

    @abstractmethod
    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset`, or all that follows, at most LONGEST. Raises FileMissingError.

        Less than asked for is an error (a truncated file, a connection that was cut), never a short answer.
        """

    @abstractmethod
    def size(self, kind: FileKind, name: str) -> int:
        """Bytes of a file. Raises FileMissingError."""

    @abstractmethod
    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        """(name, size in bytes) of every file of a kind, in any order; what is not named like one is left out.

        The whole is there, or this raises, perhaps only after some were yielded. What is saved or removed meanwhile
        may be among them or not.
        """

    @abstractmethod
    def remove(self, kind: FileKind, name: str) -> None:
        """Remove a file. Raises FileMissingError where there is none, but for places that do not tell (S3,
        rest-server). Raises AppendOnlyError where that is known to be the reason.
        """

    def spool_folder(self) -> Path | None:
        """A folder from which a spooled file is saved by a mere rename; None where there is none. See spool.py."""
        return None

    def is_coherent(self) -> bool:
        """Whether a listing surely has all that anybody, on whatever host, saved before it began."""
        return False

    def tell_trees(self, holds_trees: Callable[[str], bool]) -> None:  # noqa: B027  # only a cache wants to know
        """Say which packs hold trees, by name, once that is known. It may be asked at any time, by any thread."""

    def close(self) -> None:  # noqa: B027  # many stores hold nothing
        """Give back connections. Operations after this are errors of the caller."""

    def _sending(self, count: int) -> None:
        if self.pace is not None:
            self.pace.before_sending(count)

    def _received(self, count: int) -> None:
        if self.pace is not None:
            self.pace.after_receiving(count)
