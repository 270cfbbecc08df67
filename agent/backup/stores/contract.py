"""What a place for repositories must do. Every store passes the same conformance suite.

A repository is a set of small immutable files, each of a kind, each named by the SHA-256 of its content (but for the
one file `config`). So a store needs no update, no rename and no append: it saves whole files, loads ranges of them,
lists and removes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.backup.errors import RepositoryError


class FileKind(StrEnum):
    """Kinds of files, by the folder that restic's layout has for them (doc/design.rst, "Repository Layout")."""

    CONFIG = "config"
    """One file, at the top; its name is always `config`."""
    KEY = "keys"
    LOCK = "locks"
    SNAPSHOT = "snapshots"
    INDEX = "index"
    PACK = "data"


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


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """Content that was written to a local file first; a store may move it away, else it removes it once saved."""

    path: Path
    size: int
    """Bytes."""


class Store(ABC):
    """A place that holds one repository. Operations may be called by several threads at once, never across a fork.

    Every operation raises StoreError, of the kinds above, and nothing else.
    """

    location: str
    """As shown to people, without secrets: `/srv/repo`, `sftp:user@host:/srv/repo`, `rest:https://host/repo/`."""
    connections: int = 5
    """How many operations at once make sense."""

    @abstractmethod
    def create(self) -> None:
        """Make the place ready for a repository: folders, bucket. What is there stays as it is."""

    @abstractmethod
    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        """Store a file, durable when this returns, visible under its name only as a whole.

        A file of that name is replaced (its content is the same by its name), but for `config`:
        FileExistsStoreError. A spooled file is gone after success and still there after a failure.
        """

    @abstractmethod
    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset`, or all that follows it. Raises FileMissingError.

        Less than asked for is an error (a truncated file, a connection that was cut), never a short answer.
        """

    @abstractmethod
    def size(self, kind: FileKind, name: str) -> int:
        """Bytes of a file. Raises FileMissingError."""

    @abstractmethod
    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        """(name, size in bytes) of every file of a kind, in any order; what is not named like one is left out."""

    @abstractmethod
    def remove(self, kind: FileKind, name: str) -> None:
        """Remove a file. Raises FileMissingError."""

    def spool_folder(self) -> Path | None:
        """A folder from which a spooled file is saved by a mere rename; None where there is none."""
        return None

    def close(self) -> None:
        """Give back connections. Operations after this are errors of the caller."""
