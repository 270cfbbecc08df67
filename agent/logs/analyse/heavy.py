"""Counting what comes often, in bounded memory (pure).

J. Misra, D. Gries: Finding repeated elements (1982); joining such counts as in P. Agarwal et al.: Mergeable summaries
(2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nsmallest

import msgspec

CAPACITY = 32768


class Heavy(msgspec.Struct):
    """How often each key came, or how much it weighs.

    Exact as long as there were at most 2 x `capacity` keys. From then on a count may be too low, by `missed` at most,
    which is at most a (`capacity` + 1)th of `total`; a key that is not there came `missed` times at most.
    """

    capacity: int = CAPACITY
    counts: dict[bytes, int] = msgspec.field(default_factory=Counter)
    missed: int = 0
    total: int = 0

    def add(self, keys: Sequence[bytes]) -> None:
        """Count each of these once. Afterwards, `settle`."""
        counts = self.counts
        if not isinstance(counts, Counter):  # as it was decoded; a Counter does this in C
            counts = self.counts = Counter(counts)
        counts.update(keys)
        self.total += len(keys)

    def weigh(self, keys: Sequence[bytes], weights: Sequence[int]) -> None:
        """Count each of these with its weight. Afterwards, `settle`."""
        counts = self.counts
        get = counts.get
        for key, weight in zip(keys, weights, strict=True):
            counts[key] = get(key, 0) + weight
        self.total += sum(weights)

    def update(self, items: Iterable[tuple[bytes, int]]) -> None:
        """Count these too. Afterwards, `settle`."""
        counts, total = self.counts, 0
        get = counts.get
        for key, count in items:
            counts[key] = get(key, 0) + count
            total += count
        self.total += total

    def settle(self) -> bool:
        """Let the rarest go where there are too many; whether that was so."""
        if len(self.counts) <= 2 * self.capacity:
            return False
        least = sorted(self.counts.values(), reverse=True)[self.capacity]
        self.counts = Counter({key: count - least for key, count in self.counts.items() if count > least})
        self.missed += least
        return True

    def merge(self, other: Heavy) -> None:
        """Count what another one counted."""
        total = self.total + other.total
        self.update(other.counts.items())
        self.total = total
        self.missed += other.missed
        self.settle()

    def top(self, number: int) -> list[tuple[bytes, int]]:
        """The heaviest, then by name."""
        return nsmallest(number, self.counts.items(), key=lambda item: (-item[1], item[0]))
