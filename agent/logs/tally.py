"""Counts of what was found, in a window that moves with time (pure).

A window is kept as at most a dozen slices and what is in them. Who floods a log with ever new values gets no room by
that: of the values in a slice only the most frequent are kept by name, the others as one number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

SLICES = 12
SPARE = 3
"""Times as many values as are shown that are kept of each slice: one may be frequent in the whole window only."""

Values = tuple[str, ...]
"""What the named groups of a pattern captured, in their order."""


class Slice(msgspec.Struct, array_like=True):
    """What was found in a part of the window."""

    age: float
    """Seconds since it was begun."""
    count: int = 0
    """All matches."""
    values: dict[str, int] = {}
    """Matches by `key` of their values, the most frequent ones."""


class Tally(msgspec.Struct, array_like=True):
    """Of one pattern."""

    total: int = 0
    """Since it is counted."""
    slices: list[Slice] = []
    """The newest first."""


def key(values: Values) -> str:
    """Values as one text, and back by `unkey`: msgpack's maps come back with text as keys."""
    return msgspec.json.encode(values).decode()


def unkey(text: str) -> Values:
    """The reverse of `key`."""
    return msgspec.json.decode(text, type=Values)


def moved(tally: Tally, passed: float, window: float) -> Tally:
    """The tally `passed` seconds later: what is older than `window` seconds is out of it."""
    slices = [msgspec.structs.replace(part, age=part.age + max(0.0, passed)) for part in tally.slices]
    return Tally(tally.total, [part for part in slices if part.age < window])


def added(tally: Tally, found: Mapping[Values, int], window: float, shown: int) -> Tally:
    """The tally with what was found now; `shown` values are shown of a window."""
    count = sum(found.values())
    newest, older = Slice(0.0), tally.slices
    if older and older[0].age < window / SLICES:
        newest, *older = older
    values = Counter(newest.values)
    values.update({key(name): number for name, number in found.items() if name})
    kept = dict(sorted(values.items(), key=_by_count)[: SPARE * shown])
    grown = Slice(newest.age, newest.count + count, kept)
    return Tally(tally.total + count, [grown, *older] if grown.count else older)


def count(tally: Tally) -> int:
    """All matches in the window."""
    return sum(part.count for part in tally.slices)


def most_frequent(tally: Tally, shown: int) -> tuple[list[tuple[Values, int]], int]:
    """The most frequent values with their matches, `shown` of them at most, and the matches of all others."""
    values: Counter[str] = Counter()
    for part in tally.slices:
        values.update(part.values)
    named = [(unkey(text), number) for text, number in sorted(values.items(), key=_by_count)[:shown]]
    return named, count(tally) - sum(number for _, number in named)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
