"""Telling what is lost from what cannot be had just now. Only of the first may a repair give up."""

from __future__ import annotations

from backup.errors import DamagedError, RepositoryError
from backup.format.pack import BlobKind
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, FileMissingError, StoreError


def load_anywhere(repository: Repository, kind: BlobKind, id: bytes) -> bytes:
    """A blob from any of its places.

    Raises DamagedError where surely none has it any more: packs that are gone, that end before it, or in which it is
    damaged. Raises StoreError where a place could not be looked at.
    """
    name = f"{kind.name.lower()} {id.hex()[:8]}"
    damage = DamagedError(f"{name} is in no index")
    trouble: RepositoryError | None = None
    places = list(repository.blobs.find_all(kind, id))
    for place in (*places, *places):  # what comes damaged may have been so by the way
        pack = place.pack.hex()
        try:
            if repository.store.size(FileKind.PACK, pack) < place.offset + place.length:
                damage = DamagedError(f"{name}: pack {pack[:8]} ends before it does")
                continue
            sealed = repository.store.load(FileKind.PACK, pack, place.offset, place.length)
            return repository.open_blob(kind, id, sealed, place)
        except FileMissingError:
            damage = DamagedError(f"{name}: pack {pack[:8]} is not there")
        except DamagedError as error:
            damage = error
        except StoreError as error:
            trouble = error
    raise trouble or damage
