"""Which blobs are being written in this run: one set for all workers, so that a file's copy is stored once.

Several anonymous shared mappings, each eight times as big as the one before; the next is begun when the last is
half full, and what is not touched takes no memory. Two workers that add the same id at the same moment may both be
told that it is new, and a slot may be written by two at once. Either way a blob is stored twice, which is legal.
"""

from __future__ import annotations

import mmap
import struct

_SLOT = 32
_TABLES = (1 << 15, 1 << 18, 1 << 21, 1 << 24)
"""Slots."""
_EMPTY = bytes(_SLOT)
_LOOK_EVERY = 256
_COUNT = struct.Struct("<Q")
_NO_RESERVE = 0x4000
"""MAP_NORESERVE of Linux, which the module names from Python 3.12 on."""


class SeenIds:
    """A set of SHA-256 ids that forked processes share. Make it before the fork."""

    def __init__(self, processes: int) -> None:
        # Each process counts for itself, so that no count is lost.
        self._counts = mmap.mmap(-1, _COUNT.size * processes)
        self._own = 0
        self._added = 0
        self._until_look = 0
        self._tables: list[tuple[mmap.mmap, int]] = []
        self._limits: list[int] = []
        limit = 0
        for slots in _TABLES:
            try:
                table = mmap.mmap(-1, slots * _SLOT, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NO_RESERVE)
            except OSError:  # a small host: then more is stored twice
                if not self._tables:
                    raise
                break
            self._tables.append((table, slots - 1))
            limit += slots // 2
            self._limits.append(limit)
        self._used = self._tables[:1]
        self._full = False

    def belong_to(self, process: int) -> None:
        """Say which of the processes this is."""
        self._own = process * _COUNT.size

    def add(self, id: bytes) -> bool:
        """Whether the id is new. When all tables are full, every id that is not in them is."""
        if self._until_look == 0:
            self._look()
        self._until_look -= 1
        hint = int.from_bytes(id[:8], "little")
        for memory, mask in self._used:
            start = (hint & mask) * _SLOT
            while (found := memory[start : start + _SLOT]) != _EMPTY:
                if found == id:
                    return False
                start = (start + _SLOT) & (mask * _SLOT)
        if not self._full:
            memory[start : start + _SLOT] = id
            self._added += 1
        return True

    def _look(self) -> None:
        """See how many all processes have added, and so which table is the last one in use."""
        self._until_look = _LOOK_EVERY
        _COUNT.pack_into(self._counts, self._own, self._added)
        total = sum(count for (count,) in _COUNT.iter_unpack(self._counts))
        level = sum(total >= limit for limit in self._limits)
        self._used = self._tables[: level + 1]
        self._full = level == len(self._limits)
