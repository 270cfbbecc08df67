"""Putting a snapshot in the place of another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as with_fields

from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot, Summary
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, FileMissingError


@dataclass(frozen=True, slots=True)
class Replacement:
    """What became of a snapshot, or would."""

    old: Snapshot
    new: Snapshot | None
    """With its id, but for a dry run; the old one where nothing was changed; None: nothing is left of it."""
    forgotten: bool
    """Whether the old one is gone."""

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.forgotten or (self.new is not None and self.new is not self.old)


OnReplacement = Callable[[Replacement], None]


def replace_snapshot(
    repository: Repository,
    old: Snapshot,
    tree: bytes | None,
    *,
    tag: str,
    forget: bool,
    dry_run: bool,
    hostname: str | None = None,
    moment: Moment | None = None,
    summary: Summary | None = None,
) -> Replacement:
    """Save a snapshot like `old` with another tree or other data, as restic's rewrite does.

    It names `old` as its original, and has `tag` besides its own unless `forget` takes the old one away. Without a
    tree there is no new one. The blobs of the new tree must be in an index.
    """
    if tree is None:
        if forget and not dry_run:
            _remove(repository, old)
        return Replacement(old, None, forgotten=forget)
    new = with_fields(
        old,
        tree=tree,
        hostname=hostname or old.hostname,
        moment=moment or old.moment,
        summary=summary or old.summary,
    )
    if new == old:
        return Replacement(old, old, forgotten=False)
    tags = old.tags if forget or tag in old.tags else (*old.tags, tag)
    new = with_fields(new, original=old.id, tags=tags, id="")
    if not dry_run:
        new = with_fields(new, id=repository.save_snapshot(new))
        if forget:
            _remove(repository, old)
    return Replacement(old, new, forgotten=forget)


def _remove(repository: Repository, snapshot: Snapshot) -> None:
    with suppress(FileMissingError):
        repository.remove_file(FileKind.SNAPSHOT, snapshot.id)
