"""A store around another: it does what the inner one does, but for what a subclass says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from backup.stores.contract import FileKind, SpooledFile, Store


class Wrapper(Store):
    """Hands everything on."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.location = inner.location
        self.connections = inner.connections
        self.is_remote = inner.is_remote

    def create(self) -> None:
        self.inner.create()

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        self.inner.save(kind, name, content)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return self.inner.load(kind, name, offset, length)

    def size(self, kind: FileKind, name: str) -> int:
        return self.inner.size(kind, name)

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        return self.inner.list(kind)

    def remove(self, kind: FileKind, name: str) -> None:
        self.inner.remove(kind, name)

    def spool_folder(self) -> Path | None:
        return self.inner.spool_folder()

    def is_coherent(self) -> bool:
        return self.inner.is_coherent()

    def tell_trees(self, holds_trees: Callable[[str], bool]) -> None:
        self.inner.tell_trees(holds_trees)

    def close(self) -> None:
        self.inner.close()
