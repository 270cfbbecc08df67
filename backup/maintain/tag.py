"""Giving snapshots other tags, as restic has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, FileMissingError


@dataclass(frozen=True, slots=True)
class TagChange:
    """What tags are to become."""

    set: tuple[str, ...] | None = None
    """These, whatever they were; the others then do not count."""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def of(self, tags: Sequence[str]) -> tuple[str, ...]:
        """The new tags, each once, in their old order."""
        if self.set is not None:
            return tuple(dict.fromkeys(self.set))
        added = [tag for tag in dict.fromkeys(self.add) if tag not in tags]
        return tuple(tag for tag in (*tags, *added) if tag not in self.remove)


def change_tags(
    repository: Repository,
    snapshots: Iterable[Snapshot],
    change: TagChange,
    on_changed: Callable[[Snapshot, Snapshot], None],
) -> None:
    """Put snapshots with other tags in the place of those that lack them. The caller holds an exclusive lock.

    `on_changed` is told the old one and the new one, which names the first of its kind as its original. Each is saved
    before the old one goes, so that an end in between leaves both.
    """
    repository.require_lock(exclusive=True)
    for old in snapshots:
        tags = change.of(old.tags)
        if tags == tuple(old.tags):
            continue
        new = replace(old, tags=tags, original=old.original or old.id, id="")
        new = replace(new, id=repository.save_snapshot(new))
        with suppress(FileMissingError):
            repository.remove_file(FileKind.SNAPSHOT, old.id)
        on_changed(old, new)
