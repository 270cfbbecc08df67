"""The folders that a run has to look into, of what a watcher told. No I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable


class ChangedFolders:
    """Contains a folder if something in it may have changed, at any depth."""

    def __init__(self, changed: Iterable[bytes], whole: Iterable[bytes]) -> None:
        """`changed`: folders of whose own entries some changed; `whole`: those of which nothing is known."""
        self._whole = frozenset(whole)
        self._changed: set[bytes] = set()
        for folder in (*changed, *self._whole):
            while folder not in self._changed:
                self._changed.add(folder)
                folder = posixpath.dirname(folder)

    def __len__(self) -> int:
        """How many are known by name."""
        return len(self._changed)

    def __contains__(self, folder: object) -> bool:
        if not isinstance(folder, bytes):
            return False
        return folder in self._changed or self._is_in_whole(folder)

    def _is_in_whole(self, folder: bytes) -> bool:
        while self._whole:
            if folder in self._whole:
                return True
            above = posixpath.dirname(folder)
            if above == folder:
                break
            folder = above
        return False
