"""What the parts of a walk share: the parent snapshot and the cache, what became of entries, and who is told."""

from __future__ import annotations

from collections.abc import Callable

from backup.archive.folder import Folder
from backup.archive.folders import FolderCache
from backup.archive.previous import PreviousNodes, parse_previous
from backup.archive.report import Became, Counts, OnEntry
from backup.errors import RepositoryError
from backup.format.pack import BlobKind
from backup.repository.repository import Repository


class MisleadingCacheError(RepositoryError):
    """The cache says what a folder was, but the tree that it became cannot be read."""


class Course:
    """One walk."""

    def __init__(
        self,
        repository: Repository,
        cache: FolderCache,
        on_problem: Callable[[bytes, str], None],
        on_entry: OnEntry | None,
    ) -> None:
        """`on_entry` is told what became of each file and folder, for which `cache` must know none."""
        self.repository = repository
        self.cache = cache
        self.on_entry = on_entry
        self.counts = Counts()
        self._on_problem = on_problem

    def previous(self, folder: Folder) -> PreviousNodes:
        """What the parent snapshot has in a folder; empty where there is none, or it cannot be read."""
        if folder.previous is None:
            folder.previous = {}
            if folder.tree is not None:
                try:
                    data = self.cache.tree(folder.tree)
                    if data is None:
                        data = self.repository.load_blob(BlobKind.TREE, folder.tree)
                    folder.previous = parse_previous(data)
                except RepositoryError as error:
                    if folder.replaced is not None:  # its files were not looked at, and would be left out
                        raise MisleadingCacheError(str(error)) from error
                    self.problem(folder, folder.path or b"/", f"the parent snapshot cannot be used for it: {error}")
        return folder.previous

    def problem(self, folder: Folder, path: bytes, reason: str) -> None:
        """Tell what is wrong with a folder's entry, or with itself."""
        folder.sound = folder.whole = False  # so that the next run looks again
        self._on_problem(path, reason)

    def warn(self, folder: Folder, path: bytes) -> Callable[[str], None]:
        """As `problem`, for those who know only the reason."""
        return lambda reason: self.problem(folder, path, reason)

    def tell_entry(self, before: bytes | None, node: bytes, path: bytes, size: int) -> None:
        """Say what became of an entry of `size` bytes. `before` is its node in the parent snapshot."""
        if self.on_entry is not None:
            compared = Became.UNCHANGED if before == node else Became.MODIFIED
            self.on_entry(Became.NEW if before is None else compared, path, size)
