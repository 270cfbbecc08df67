"""Saving what is good in damaged packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from backup.errors import DamagedError
from backup.format.pack import BlobKind, PackedBlob
from backup.maintain.contents import PackContents
from backup.maintain.reindex import rewrite_index
from backup.maintain.remove import remove_files
from backup.maintain.repack import move_blobs
from backup.repository.blobs import BlobIndex
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind, FileMissingError, StoreError


@dataclass(slots=True)
class RepairPacksResult:
    """What became of the packs."""

    saved: int = 0
    """Blobs that are in new packs now."""
    lost: dict[tuple[BlobKind, bytes], DamagedError] = field(default_factory=dict)
    """Blobs that no pack has any more. `repair_snapshots` takes them out of snapshots."""
    not_removed: dict[str, StoreError] = field(default_factory=dict)
    """Damaged packs that could not be removed; the next prune tries again."""


def repair_packs(
    repository: Repository,
    packs: Iterable[bytes],
    *,
    on_lost: Callable[[PackedBlob, DamagedError], None] | None = None,
    on_pack: Callable[[int, int], None] = lambda done, total: None,
) -> RepairPacksResult:
    """Save the blobs of damaged packs that are intact, and remove the packs; the caller holds an exclusive lock.

    What is in a pack tells the index, or the pack's own header. Raises DamagedError, before anything is changed, for
    a pack that is neither in the index nor there.
    """
    repository.require_lock(exclusive=True)
    packs = list(dict.fromkeys(packs))
    contents = PackContents(repository.blobs)
    held = {pack: contents.blobs(pack) or _by_header(repository, pack) for pack in packs}
    result = RepairPacksResult()

    def lost(blob: PackedBlob, error: DamagedError) -> None:
        result.lost[blob.kind, blob.id] = error
        if on_lost is not None:
            on_lost(blob, error)

    # Saved even where another pack has it: that one may be damaged, too, and come next.
    with BlobSaver(repository, known=BlobIndex()) as saver:
        for done, pack in enumerate(packs, 1):
            move_blobs(repository, pack, held[pack], saver, same=True, on_lost=lost)
            on_pack(done, len(packs))
        saver.flush()
        result.saved = saver.blobs
    rewrite_index(repository, set(packs))
    repository.drop_index()
    result.not_removed = remove_files(repository, FileKind.PACK, [pack.hex() for pack in packs])
    return result


def _by_header(repository: Repository, pack: bytes) -> list[PackedBlob]:
    """The blobs of a pack that no index has; none if its header is damaged, too."""
    try:
        size = repository.store.size(FileKind.PACK, pack.hex())
        return repository.read_pack_header(pack, size)
    except FileMissingError:
        raise DamagedError(f"there is no pack {pack.hex()[:8]}, neither in the index nor in the store") from None
    except DamagedError:
        return []
