"""Big files and streams: read once, by the parent, into memory that workers share, and cut there into chunks."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from backup.archive.chunks import MAX_SIZE, Cutter

SEGMENT = MAX_SIZE + (4 << 20)
"""Bytes: the longest chunk and some more, so that each filling has one whole chunk at least."""
SEGMENTS = 3
Read = Callable[[memoryview], int]


class Piece(NamedTuple):
    """A chunk."""

    segment: int
    """Where it lies; -1 for one of zeros, which lies nowhere."""
    offset: int
    length: int


class Ring:
    """A few segments of shared memory. One is filled again when all chunks in it are done."""

    def __init__(self, wait: Callable[[], None]) -> None:
        """`wait` lets some worker say that it is done with a chunk."""
        self.memory = mmap.mmap(-1, SEGMENT * SEGMENTS)
        self._view = memoryview(self.memory)
        self._wait = wait
        self._busy = [0] * SEGMENTS
        self._next = 0

    def release(self, segment: int) -> None:
        """A chunk is done."""
        if segment >= 0:
            self._busy[segment] -= 1

    def _take(self) -> int:
        """The next segment, once it is free."""
        segment = self._next
        while self._busy[segment]:
            self._wait()
        self._next = (segment + 1) % SEGMENTS
        return segment

    def cut(self, read: Read, cutter: Cutter, skip: Callable[[int], int] | None = None) -> Iterator[Piece]:
        """The chunks of what `read` gives until it gives nothing.

        Whoever takes a piece releases it when it is done. `skip` is asked where a chunk begins, and told how much
        was read beyond that: it passes over a hole's chunk and gives its length, or 0.
        """
        carried = memoryview(b"")
        ended = False
        while True:
            if skip is not None and not ended:
                while length := skip(len(carried)):
                    carried = memoryview(b"")
                    yield Piece(-1, 0, length)
            segment = self._take()
            start = segment * SEGMENT
            view = self._view[start : start + SEGMENT]
            filled = len(carried)
            view[:filled] = carried
            # What was carried over is copied, so its own segment may be filled again.
            while filled < SEGMENT and not ended:
                count = read(view[filled:])
                ended = not count
                filled += count
            offset = start
            for length in cutter.cut(view[:filled], final=ended):
                self._busy[segment] += 1
                yield Piece(segment, offset, length)
                offset += length
            carried = self._view[offset : start + filled]
            if ended:
                return


class FileReader:
    """Reads a file up to the size that it had at first, and knows its holes."""

    def __init__(self, descriptor: int, size: int, *, sparse: bool) -> None:
        self._descriptor = descriptor
        self._size = size
        self._sparse = sparse
        self.position = 0

    def read(self, into: memoryview) -> int:
        """Fill the memory as far as the file goes. Raises OSError."""
        wanted = min(len(into), self._size - self.position)
        if wanted <= 0:
            return 0
        count = os.preadv(self._descriptor, [into[:wanted]], self.position)
        self.position += count
        return count

    def hole_at(self, position: int) -> int:
        """Bytes of the hole that begins there; 0 where there is data. Raises OSError."""
        if not self._sparse:
            return 0
        try:
            data = os.lseek(self._descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = self._size  # nothing but a hole follows
        return max(min(data, self._size) - position, 0)
