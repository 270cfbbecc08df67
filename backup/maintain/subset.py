"""Which packs a check reads: those of a group, or some at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from backup.select.sizes import Group, Share, Size

Sample = Callable[[Sequence[bytes], int], list[bytes]]
"""Chooses so many at random, each once."""


def choose_packs(subset: Group | Share | Size, packs: Mapping[bytes, int], sample: Sample) -> list[bytes]:
    """Of packs (id, bytes), those to read: a group is always the same ones; a size makes a share of the packs."""
    if not packs:
        return []
    if isinstance(subset, Group):
        return [pack for pack in packs if subset.holds(pack)]
    percent = subset.percent if isinstance(subset, Share) else 100 * subset.bytes / max(sum(packs.values()), 1)
    return sample(list(packs), max(int(len(packs) * min(percent, 100) / 100), 1))
