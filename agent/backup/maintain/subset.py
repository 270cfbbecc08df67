"""Which packs a check reads: all, a part of a rotation, or some at random."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.backup.maintain.sizes import parse_percent, parse_size
from kit.errors import UsageError

_PART = re.compile(r"(\d+)/(\d+)", re.ASCII)
MOST_PARTS = 256
"""A pack's part follows from the first byte of its id."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Exactly one of them is meant."""

    part: tuple[int, int] | None = None
    """(n, t): part n of t, the same packs every time, so that all t together are all packs."""
    percent: float | None = None
    """That share of the packs, chosen at random."""
    size: int | None = None
    """About so many bytes, in packs chosen at random."""

    def choose(
        self, packs: Mapping[bytes, int], sample: Callable[[Sequence[bytes], int], list[bytes]]
    ) -> list[bytes]:
        """The packs to read, of these (id, bytes). `sample` chooses so many at random."""
        if self.part is not None:
            number, total = self.part
            return [pack for pack in packs if pack[0] % total == number - 1]
        share = self.percent
        if self.size is not None:
            share = min(100.0, 100.0 * self.size / max(sum(packs.values()), 1))
        assert share is not None
        return sample(list(packs), max(int(len(packs) * share / 100), 1) if packs else 0)


def parse_subset(text: str) -> Subset:
    """`n/t`, `x%` or a size such as `10G`. Raises UsageError."""
    if found := _PART.fullmatch(text):
        number, total = int(found[1]), int(found[2])
        if not 1 <= number <= total <= MOST_PARTS:
            raise UsageError(f"--read-data-subset={text}: expected n/t with 1 <= n <= t <= {MOST_PARTS}")
        return Subset(part=(number, total))
    if text.endswith("%"):
        percent = parse_percent(text, "--read-data-subset")
        if not 0 < percent <= 100:
            raise UsageError(f"--read-data-subset={text}: expected more than 0% and at most 100%")
        return Subset(percent=percent)
    size = parse_size(text, "--read-data-subset")
    if size == 0:
        raise UsageError(f"--read-data-subset={text}: expected a size above 0")
    return Subset(size=size)
