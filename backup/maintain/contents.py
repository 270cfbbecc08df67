"""What each pack holds, by the index; four bytes a blob where lists of objects would take three hundred."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import attrgetter

from backup.format.crypto import OVERHEAD
from backup.format.pack import LENGTH_FIELD, PackedBlob, entry_length
from backup.repository.blobs import BlobIndex

HEADER_OVERHEAD = OVERHEAD + LENGTH_FIELD
"""Bytes that a pack has besides its blobs and their entries."""
_OFFSET = attrgetter("offset")


def sizes_and_kinds(index: BlobIndex) -> tuple[array[int], bytearray]:
    """Of each pack of `index.packs`: bytes that it must have if the index knows all of it; kinds, a bit each."""
    sizes = array("Q", [HEADER_OVERHEAD]) * len(index.packs)
    kinds = bytearray(len(index.packs))
    for number, kind, length, plain_length in index.lengths():
        sizes[number] += length + entry_length(plain_length)
        kinds[number] |= kind + 1
    return sizes, kinds


class PackContents:
    """The blobs of each pack of an index, which must not grow meanwhile."""

    def __init__(self, index: BlobIndex) -> None:
        self._index = index
        self.numbers = {pack: number for number, pack in enumerate(index.packs)}
        """The place of each pack in `index.packs`."""
        self._slots = [array("I") for _ in index.packs]
        for slot, number in index.numbers():
            self._slots[number].append(slot)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._index.packs)

    def blobs(self, pack: bytes) -> list[PackedBlob]:
        """The blobs of a pack, sorted by their offset; none for a pack that the index does not have."""
        number = self.numbers.get(pack)
        return [] if number is None else sorted(map(self._index.at, self._slots[number]), key=_OFFSET)
