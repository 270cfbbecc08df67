"""Rates from counters that only grow, until they start again."""

from __future__ import annotations

from collections.abc import Sequence


def rates(before: Sequence[float] | None, after: Sequence[float], elapsed: float | None) -> list[float] | None:
    """Growth a second of each counter, or None where it cannot be told.

    One counter that went back means that all of them started again, or wrapped: how far they got before is lost.
    """
    if before is None or elapsed is None or elapsed <= 0 or len(before) != len(after):
        return None
    if any(new < old for old, new in zip(before, after, strict=True)):
        return None
    return [(new - old) / elapsed for old, new in zip(before, after, strict=True)]
