"""A random sample of a snapshot's files, which the same seed draws again (pure)."""

from __future__ import annotations

import heapq
import re
import secrets
from hashlib import blake2b
from typing import NamedTuple

_SEED = re.compile(r"[0-9a-f]{16}")


def new_seed() -> str:
    """A seed that nobody can foresee."""
    return secrets.token_hex(8)


def parse_seed(text: str) -> str:
    """Raises ValueError, saying what was expected, for what is no seed."""
    if _SEED.fullmatch(text) is None:
        raise ValueError("16 digits of 0-9 and a-f, as a drill prints them")
    return text


class Chosen(NamedTuple):
    """A file of the sample."""

    path: bytes
    """In the snapshot, from its root on."""
    size: int


class Sampler:
    """Draws from files that come one by one, in any order, and remembers no more of them than it may draw.

    Each file gets a number from its path and the seed, and the lowest numbers win (bottom-k sampling): every set of
    files is as likely as every other, and whether a file is drawn does not hang on the order in which trees are read.
    """

    def __init__(self, seed: str, *, files: int, size: int) -> None:
        """Draw at most `files`, of together at most `size` bytes. `seed` is `new_seed`'s hexadecimal."""
        self._key = bytes.fromhex(seed)
        self._files = files
        self._size = size
        self._heap: list[tuple[int, Chosen]] = []
        """The candidates, the highest number first."""
        self.too_large = 0
        """Files that no sample of this size can hold."""

    def offer(self, path: bytes, size: int) -> None:
        """There is this file."""
        if size > self._size:
            self.too_large += 1
            return
        number = -int.from_bytes(blake2b(path, digest_size=8, key=self._key).digest())
        if len(self._heap) < self._files:
            heapq.heappush(self._heap, (number, Chosen(path, size)))
        elif number > self._heap[0][0]:
            heapq.heapreplace(self._heap, (number, Chosen(path, size)))

    def drawn(self) -> list[Chosen]:
        """The sample. In the order of their numbers files come in as long as they fit; one at least fits."""
        left = self._size
        sample = []
        for _, chosen in sorted(self._heap, reverse=True):
            if chosen.size <= left:
                left -= chosen.size
                sample.append(chosen)
        return sample


def halves(sample: list[Chosen]) -> tuple[list[Chosen], list[Chosen]]:
    """The smaller files and the larger ones, as many of these or one more: each half is measured by itself."""
    ordered = sorted(sample, key=lambda chosen: (chosen.size, chosen.path))
    middle = len(ordered) // 2
    return ordered[:middle], ordered[middle:]
