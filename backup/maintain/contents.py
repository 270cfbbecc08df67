"""What each pack holds, by the index; four bytes a blob where lists of objects would take three hundred."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from backup.format.crypto import OVERHEAD
from backup.format.pack import LENGTH_FIELD, PackedBlob, entry_length
from backup.repository.blobs import BlobIndex

HEADER_OVERHEAD = OVERHEAD + LENGTH_FIELD
"""Bytes that a pack has besides its blobs and their entries."""


def sizes_and_kinds(index: BlobIndex) -> tuple[array[int], bytearray]:
    """Of each pack of `index.packs`: bytes that it must have if the index knows all of it; kinds, a bit each."""
    sizes = array("Q", [HEADER_OVERHEAD]) * len(index.packs)
    kinds = bytearray(len(index.packs))
    for _, number, blob in index.slots():
        sizes[number] += blob.length + entry_length(blob)
        kinds[number] |= blob.kind + 1
    return sizes, kinds


class PackContents:
    """The blobs of each pack of an index, which must not grow meanwhile."""

    def __init__(self, index: BlobIndex) -> None:
        self._index = index
        self.numbers = {pack: number for number, pack in enumerate(index.packs)}
        """The place of each pack in `index.packs`."""
        # A counting sort: where each pack's slots begin, then each slot to its pack.
        self._starts = array("Q", bytes(8 * (len(index.packs) + 1)))
        for _, number in index.numbers():
            self._starts[number + 1] += 1
        for number in range(len(index.packs)):
            self._starts[number + 1] += self._starts[number]
        self._slots = array("I", bytes(4 * self._starts[-1]))
        ends = array("Q", self._starts)
        for slot, number in index.numbers():
            self._slots[ends[number]] = slot
            ends[number] += 1

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._index.packs)

    def slots(self, pack: bytes) -> array[int]:
        """The slots of a pack's blobs, in no order; none for a pack that the index does not have."""
        number = self.numbers.get(pack)
        return array("I") if number is None else self._slots[self._starts[number] : self._starts[number + 1]]

    def blobs(self, pack: bytes) -> list[PackedBlob]:
        """The blobs of a pack, sorted by their offset."""
        return sorted(map(self._index.at, self.slots(pack)), key=lambda blob: blob.offset)
