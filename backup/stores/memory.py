"""A repository in memory, gone with its process: for tests of what works on repositories, without a disk or a server.

No location names it: nobody can back up to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from backup.stores.contract import (
    PIECE,
    FileExistsStoreError,
    FileKind,
    FileMissingError,
    PermanentStoreError,
    SpooledFile,
    Store,
)
from backup.stores.fork_lock import ForkLock
from backup.stores.layout import path_of


class MemoryStore(Store):
    """Files as bytes. After a fork parent and child have each their own."""

    location = "memory"
    is_remote = False

    def __init__(self) -> None:
        self._files: dict[FileKind, dict[str, bytes]] = {kind: {} for kind in FileKind}
        self._lock = ForkLock()

    def is_coherent(self) -> bool:
        return True

    def create(self) -> None:
        """There is nothing to make."""

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        path_of(kind, name)
        stored = _spooled(content) if isinstance(content, SpooledFile) else bytes(content)
        for start in range(0, len(stored), PIECE):
            self._sending(min(PIECE, len(stored) - start))
        with self._lock:
            if kind is FileKind.CONFIG and name in self._files[kind]:
                raise FileExistsStoreError("config: is there already")
            self._files[kind][name] = stored
        if isinstance(content, SpooledFile):
            content.path.unlink(missing_ok=True)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        content = self._found(kind, name)
        end = len(content) if length is None else offset + length
        if end > len(content):
            raise PermanentStoreError(
                f"{kind.value}/{name}: is {len(content)} bytes, but {length} bytes from {offset} on were asked for"
            )
        for start in range(offset, end, PIECE):
            self._received(min(PIECE, end - start))
        return content[offset:end]

    def size(self, kind: FileKind, name: str) -> int:
        return len(self._found(kind, name))

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        with self._lock:
            files = [(name, len(content)) for name, content in self._files[kind].items()]
        yield from files

    def remove(self, kind: FileKind, name: str) -> None:
        path_of(kind, name)
        with self._lock:
            if self._files[kind].pop(name, None) is None:
                raise FileMissingError(f"{path_of(kind, name)}: there is no such file")

    def _found(self, kind: FileKind, name: str) -> bytes:
        path = path_of(kind, name)
        with self._lock:
            content = self._files[kind].get(name)
        if content is None:
            raise FileMissingError(f"{path}: there is no such file")
        return content


def _spooled(content: SpooledFile) -> bytes:
    try:
        stored = content.path.read_bytes()
    except OSError as error:
        raise PermanentStoreError(f"{content.path}: {error.strerror}") from error
    if len(stored) != content.size:
        raise PermanentStoreError(f"{content.path}: is {len(stored)} bytes long, expected {content.size}")
    return stored
