"""Files of a repository as the store has them: named by the hash of their content, which is verified."""

from __future__ import annotations

import hashlib

from backup.errors import DamagedError
from backup.stores.contract import FileKind, Store


def name_of(data: bytes) -> str:
    """The name that content has."""
    return hashlib.sha256(data).hexdigest()


def content_of(store: Store, kind: FileKind, name: str) -> bytes:
    """The content of a file, which its name vouches for. Raises DamagedError.

    What comes damaged is asked for once more: it may have been the way and not the place.
    """
    for _ in range(2):
        data = store.load(kind, name)
        if name_of(data) == name:
            return data
    raise DamagedError(
        f"{kind}/{name[:8]} in {store.location} is damaged: its {len(data)} bytes do not have its hash"
    )
