"""Moving blobs from packs into new ones, of the same repository or of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from backup.errors import DamagedError
from backup.format.compression import Compression
from backup.format.pack import PackedBlob
from backup.maintain.loss import load_anywhere
from backup.repository.blobs import Location
from backup.repository.repository import Repository
from backup.repository.runs import Place, runs_of
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind, StoreError


def move_blobs(
    source: Repository,
    pack: bytes,
    blobs: Iterable[PackedBlob],
    saver: BlobSaver,
    *,
    same: bool,
    on_lost: Callable[[PackedBlob, DamagedError], None] | None = None,
) -> None:
    """Save blobs of a pack, which `saver` may have already; each is verified before.

    `same` repository: what is compressed is taken over as it is stored, and the rest is compressed if it can be.
    A blob that is damaged is taken from another pack; where surely none has it, it goes to `on_lost`, or this raises
    DamagedError. Raises StoreError.
    """
    wanted = sorted((blob for blob in blobs if not saver.has(blob.kind, blob.id)), key=lambda blob: blob.offset)
    recompress = source.compression is not Compression.OFF
    for (_, start, length), run in runs_of(wanted, lambda blob: Place(pack, blob.offset, blob.length)):
        try:
            content = source.store.load(FileKind.PACK, pack.hex(), start, length)
        except StoreError:
            content = None  # some of them may be there all the same, or elsewhere
        view = memoryview(content or b"")
        for blob in run:
            at = blob.offset - start
            sealed = view[at : at + blob.length]
            place = Location(pack, blob.offset, blob.length, blob.plain_length)
            try:
                if content is None:
                    raise DamagedError(f"pack {pack.hex()[:8]} cannot be read")
                plain = source.open_blob(blob.kind, blob.id, sealed, place)
            except DamagedError:
                try:
                    plain = load_anywhere(source, blob.kind, blob.id)
                except DamagedError as error:
                    if on_lost is None:
                        raise
                    on_lost(blob, error)
                else:
                    saver.save(blob.kind, plain, blob.id)
                continue
            if same and (blob.plain_length or not recompress):
                saver.save_sealed(blob.kind, blob.id, bytes(sealed), blob.plain_length)
            else:
                saver.save(blob.kind, plain, blob.id)
