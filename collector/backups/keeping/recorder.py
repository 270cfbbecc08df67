"""A store that remembers what was done to it."""

from __future__ import annotations

from backup.stores.contract import FileKind, SpooledFile, Store
from backup.stores.wrapper import Wrapper


class Recorder(Wrapper):
    """Hands everything on, and keeps which files were added and removed. Safe for threads."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.added: dict[FileKind, dict[str, int]] = {}
        """Names to bytes."""
        self.removed: dict[FileKind, dict[str, None]] = {}

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        size = content.size if isinstance(content, SpooledFile) else len(content)
        self.inner.save(kind, name, content)
        self.added.setdefault(kind, {})[name] = size

    def remove(self, kind: FileKind, name: str) -> None:
        self.inner.remove(kind, name)
        self.removed.setdefault(kind, {})[name] = None
        self.added.get(kind, {}).pop(name, None)
