"""Where every blob is: the content of all index files, in memory.

Repositories hold millions of blobs, and a Python object for each would take some 250 bytes. This is one flat table
with open addressing in an anonymous shared mapping: 52 bytes a slot, at most three quarters full, and nothing for the
reference counter to touch, so that forked workers share its pages.

A blob may be in several packs (two backups at once); each place has a slot of its own.

Indexes may be an enemy's. So where a blob's search begins follows from a hash that is another one in every process,
each blob has steps of its own (double hashing; D. Knuth, The Art of Computer Programming 3, section 6.4), and the
many places of one are not gone through for each further one: no choice of ids makes the table slow.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backup.format.pack import BlobKind, PackedBlob

_SLOT = struct.Struct("<32sIIIII")
"""Blob id; kind + 1 (0: empty); pack number; offset; stored length; plain length."""
_PLACE = struct.Struct("<IIII")
"""The last four of them."""
_NUMBER = struct.Struct("<32xII12x")
"""Kind + 1 and pack number."""
_SIZE = _SLOT.size
_SMALLEST = 1 << 10
_KINDS = (BlobKind.DATA, BlobKind.DATA, BlobKind.TREE)
"""By kind + 1."""
_LENGTHS = struct.Struct("<32xII4xII")
"""Kind + 1, pack number, stored length, plain length."""
_FAR = 64
"""Slots after which it is remembered how far the search for a blob went."""


class Location(NamedTuple):
    """Where a blob is."""

    pack: bytes
    """The id of the pack."""
    offset: int
    length: int
    """Bytes as stored, sealed and perhaps compressed."""
    plain_length: int
    """Bytes after decompression; 0: it is not compressed."""


class BlobIndex:
    """Finds blobs by kind and id.

    After a fork the child sees all that was added before it, and also what the parent adds later until the table
    grows; what a child misses it will save again, which is legal. Only one process may add.
    """

    def __init__(self, expected: int = 0) -> None:
        self.packs: list[bytes] = []
        """Pack ids; a slot has the place in this list."""
        self._numbers: dict[bytes, int] = {}
        self._count = 0
        self._ends: dict[bytes, int] = {}
        """Of blobs with very many places: a slot before which the search for them finds none that is empty."""
        self._allocate(expected)

    def _allocate(self, expected: int) -> None:
        capacity = _SMALLEST
        while capacity * 3 < expected * 4:
            capacity *= 2
        self._mask = capacity - 1
        self._room = capacity // 4 * 3
        self._memory = mmap.mmap(-1, capacity * _SIZE)
        self._ends.clear()

    def __len__(self) -> int:
        """Places of blobs; a blob in two packs counts twice."""
        return self._count

    def reserve(self, more: int) -> None:
        """Make room for `more` blobs at once: growing copies the table, and a fork ends the sharing of a new one."""
        if self._count + more > self._room:
            self._grow(self._count + more)

    def add(self, pack: bytes, blobs: Sequence[PackedBlob]) -> None:
        """Add the blobs of a pack; a place that is known already is left out, but of a blob with very many."""
        number = self._numbers.get(pack)
        known = number is not None
        if number is None:
            number = self._numbers[pack] = len(self.packs)
            self.packs.append(pack)
        self.reserve(len(blobs))
        memory, mask, pack_into = self._memory, self._mask, _SLOT.pack_into
        unpack_from, ends = _SLOT.unpack_from, self._ends
        added = 0
        for kind, id, offset, length, plain_length in blobs:
            tag = kind + 1
            value = hash(id)
            slot, step = value & mask, value >> 31 | 1
            if ends:
                slot = ends.get(id, slot)
            tried = 0
            while True:
                position = slot * _SIZE
                if memory[position + 32] == 0:
                    pack_into(memory, position, id, tag, number, offset, length, plain_length)
                    added += 1
                    break
                if known and unpack_from(memory, position) == (id, tag, number, offset, length, plain_length):
                    break
                slot = (slot + step) & mask
                tried += 1
            if tried > _FAR:
                ends[id] = slot
        self._count += added

    def _grow(self, expected: int) -> None:
        old = self._memory
        self._allocate(expected + expected // 2)
        memory, mask, pack_into, ends = self._memory, self._mask, _SLOT.pack_into, self._ends
        for entry in _SLOT.iter_unpack(old):
            if entry[1]:
                value = hash(entry[0])
                slot, step = value & mask, value >> 31 | 1
                if ends:
                    slot = ends.get(entry[0], slot)
                tried = 0
                while memory[slot * _SIZE + 32]:
                    slot = (slot + step) & mask
                    tried += 1
                pack_into(memory, slot * _SIZE, *entry)
                if tried > _FAR:
                    ends[entry[0]] = slot

    def has(self, kind: BlobKind, id: bytes) -> bool:
        """Whether a blob is anywhere."""
        memory, mask = self._memory, self._mask
        tag = kind + 1
        value = hash(id)
        slot, step = value & mask, value >> 31 | 1
        while found := memory[(position := slot * _SIZE) + 32]:
            if found == tag and memory[position : position + 32] == id:
                return True
            slot = (slot + step) & mask
        return False

    def find(self, kind: BlobKind, id: bytes) -> Location | None:
        """A place of a blob: the first of `find_all`."""
        memory, mask = self._memory, self._mask
        tag = kind + 1
        value = hash(id)
        slot, step = value & mask, value >> 31 | 1
        while found := memory[(position := slot * _SIZE) + 32]:
            if found == tag and memory[position : position + 32] == id:
                number, offset, length, plain_length = _PLACE.unpack_from(memory, position + 36)
                return Location(self.packs[number], offset, length, plain_length)
            slot = (slot + step) & mask
        return None

    def find_all(self, kind: BlobKind, id: bytes) -> Iterator[Location]:
        """Every place of a blob."""
        memory, mask = self._memory, self._mask
        tag = kind + 1
        value = hash(id)
        slot, step = value & mask, value >> 31 | 1
        while found := memory[(position := slot * _SIZE) + 32]:
            if found == tag and memory[position : position + 32] == id:
                _, _, number, offset, length, plain_length = _SLOT.unpack_from(memory, position)
                yield Location(self.packs[number], offset, length, plain_length)
            slot = (slot + step) & mask

    @property
    def capacity(self) -> int:
        """How many slots there are. A blob keeps its slot until the next `add` or `reserve`."""
        return self._mask + 1

    def slot_of(self, kind: BlobKind, id: bytes) -> int:
        """The slot of a blob's first place, always the same one; -1 where there is none."""
        memory, mask = self._memory, self._mask
        tag = kind + 1
        value = hash(id)
        slot, step = value & mask, value >> 31 | 1
        while found := memory[(position := slot * _SIZE) + 32]:
            if found == tag and memory[position : position + 32] == id:
                return slot
            slot = (slot + step) & mask
        return -1

    def at(self, slot: int) -> PackedBlob:
        """What a slot holds, which must not be empty."""
        id, tag, _, offset, length, plain_length = _SLOT.unpack_from(self._memory, slot * _SIZE)
        return PackedBlob(_KINDS[tag], id, offset, length, plain_length)

    def slots(self) -> Iterator[tuple[int, int, PackedBlob]]:
        """(slot, number of the pack in `packs`, blob) of every place, in no order."""
        for slot, (id, tag, number, offset, length, plain_length) in enumerate(_SLOT.iter_unpack(self._memory)):
            if tag:
                yield slot, number, PackedBlob(_KINDS[tag], id, offset, length, plain_length)

    def numbers(self) -> Iterator[tuple[int, int]]:
        """(slot, number of the pack) of every place: `slots` for those who need no more, in a third of its time."""
        for slot, (tag, number) in enumerate(_NUMBER.iter_unpack(self._memory)):
            if tag:
                yield slot, number

    def lengths(self) -> Iterator[tuple[int, BlobKind, int, int]]:
        """(number of the pack, kind, stored length, plain length) of every place, as cheap as `numbers`."""
        for tag, number, length, plain_length in _LENGTHS.iter_unpack(self._memory):
            if tag:
                yield number, _KINDS[tag], length, plain_length

    def __iter__(self) -> Iterator[tuple[BlobKind, bytes, Location]]:
        """(kind, id, place) of every place, in no order."""
        packs = self.packs
        for id, tag, number, offset, length, plain_length in _SLOT.iter_unpack(self._memory):
            if tag:
                yield _KINDS[tag], id, Location(packs[number], offset, length, plain_length)
