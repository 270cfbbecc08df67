"""Removing many files of a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from backup.repository.repository import Repository
from backup.stores.contract import AppendOnlyError, FileKind, FileMissingError, StoreError


def remove_files(
    repository: Repository,
    kind: FileKind,
    names: Iterable[str],
    *,
    on_removed: Callable[[int], None] | None = None,
) -> dict[str, StoreError]:
    """Remove files, several at a time; one that is gone already counts as removed. Returns those that could not be.

    `on_removed` is told how many were done so far. Raises AppendOnlyError where none can be.
    """

    def remove(name: str) -> tuple[str, StoreError | None]:
        try:
            repository.remove_file(kind, name)
        except FileMissingError:
            pass
        except AppendOnlyError:  # the others would say the same
            raise
        except StoreError as error:
            return name, error
        return name, None

    failed = {}
    with ThreadPoolExecutor(max(repository.store.connections, 1), thread_name_prefix="remove") as pool:
        for done, (name, error) in enumerate(pool.map(remove, names), 1):
            if error is not None:
                failed[name] = error
            if on_removed is not None:
                on_removed(done)
    return failed
