"""The index as far as the packs bear it out, of a repository whose writers are not trusted."""

from __future__ import annotations

from collections.abc import Callable

from backup.errors import DamagedError, RepositoryError
from backup.maintain.contents import sizes_and_kinds
from backup.repository.repository import Repository
from backup.stores.contract import FileKind


def load_true_index(
    repository: Repository,
    *,
    on_damaged: Callable[[str, RepositoryError], None] | None = None,
    never_good: Callable[[bytes], bool],
) -> None:
    """Have the repository know its blobs; nothing is written.

    An index may name packs that are not there, or what is not in them: that counts for nothing, and takes no memory.
    Of a pack of which too much is said its own header tells, unless that is damaged and the pack `never_good`. Index
    files that cannot be read go to `on_damaged`. List snapshots before: what they refer to is there then. Raises
    RepositoryError.
    """
    stored = {bytes.fromhex(name): size for name, size in repository.names(FileKind.PACK)}
    repository.load_index(on_damaged=on_damaged, stored=stored)
    packs = repository.blobs.packs
    sizes, _ = sizes_and_kinds(repository.blobs)
    doubtful = {pack: stored.pop(pack) for pack, size in zip(packs, sizes, strict=True) if size != stored[pack]}
    if not doubtful:
        return
    repository.load_index(on_damaged=on_damaged, stored=stored)
    for pack, size in doubtful.items():
        try:
            repository.blobs.add(pack, repository.read_pack_header(pack, size))
        except DamagedError:
            if not never_good(pack):
                raise
