"""Which blobs of a pack are read together (pure): one request for neighbours, and none for what lies far between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

GAP = 64 << 10
"""Bytes between two blobs that are rather read along than skipped by another request."""
LONGEST = 4 << 20
"""Bytes of one request, unless a blob is longer."""

Item = TypeVar("Item")


class Place(NamedTuple):
    """Where in which pack something lies."""

    pack: bytes
    offset: int
    length: int


class Run(NamedTuple):
    """A range of a pack."""

    pack: bytes
    start: int
    length: int


def runs_of(items: Iterable[Item], place_of: Callable[[Item], Place]) -> Iterator[tuple[Run, list[Item]]]:
    """(range, what lies in it in its order) of things that are sorted by pack and offset."""
    pack = b""
    start = end = 0
    together: list[Item] = []
    for item in items:
        its_pack, offset, length = place_of(item)
        after = offset + length
        if together and (its_pack != pack or offset > end + GAP or max(after, end) - start > LONGEST):
            yield Run(pack, start, end - start), together
            together = []
        if not together:
            pack, start, end = its_pack, offset, after
        together.append(item)
        # In a hostile index blobs may lie over each other.
        end = max(end, after)
    if together:
        yield Run(pack, start, end - start), together
