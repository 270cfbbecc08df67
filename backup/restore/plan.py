"""Which bytes of which packs go where (pure): every blob that is wanted is read once, in the order of its pack."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from backup.errors import DamagedError
from backup.format.crypto import OVERHEAD
from backup.format.node import Node
from backup.repository.blobs import Location
from backup.repository.runs import Place, runs_of


class Target(NamedTuple):
    """Where a blob goes."""

    file: int
    """Its place in the batch."""
    offset: int


class Wanted(NamedTuple):
    """A blob, and every place that it goes to."""

    id: bytes
    place: Location
    targets: list[Target]


class Piece(NamedTuple):
    """A range of a pack, with what is wanted of it in its order."""

    pack: bytes
    start: int
    length: int
    blobs: list[Wanted]


def locate(node: Node, find: Callable[[bytes], Location | None]) -> list[tuple[Location, int]]:
    """(place, bytes when opened) of each blob of a file. Raises DamagedError for a file that cannot become whole."""
    found = []
    total = 0
    for id in node.content or ():
        place = find(id)
        if place is None:
            raise DamagedError(f"its blob {id.hex()[:8]} is in no index; the repository has lost it")
        length = place.plain_length or place.length - OVERHEAD
        found.append((place, length))
        total += length
    if total != node.size:
        raise DamagedError(f"its content has {total} bytes, but its size is said to be {node.size}")
    return found


class Plan:
    """Collects the blobs of a batch of files."""

    def __init__(self) -> None:
        self._packs: dict[bytes, dict[bytes, Wanted]] = {}

    def add(self, id: bytes, place: Location, target: Target) -> None:
        """Want a blob in one more place."""
        blobs = self._packs.get(place.pack)
        if blobs is None:
            blobs = self._packs[place.pack] = {}
        wanted = blobs.get(id)
        if wanted is None:
            blobs[id] = Wanted(id, place, [target])
        else:
            wanted.targets.append(target)

    def pieces(self) -> list[Piece]:
        """What to read; packs in the order in which the files want them first."""
        pieces: list[Piece] = []
        for pack, blobs in self._packs.items():
            ordered = sorted(blobs.values(), key=lambda wanted: wanted.place.offset)
            for run, together in runs_of(ordered, lambda wanted: Place(*wanted.place[:3])):
                pieces.append(Piece(pack, run.start, run.length, together))
        return pieces
