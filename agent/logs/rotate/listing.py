"""What a folder holds: read once a run, and kept as it becomes by what the run does."""

from __future__ import annotations

from bisect import bisect_left, insort

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable


class Listing:
    """The names of a folder and their inodes; `look` asks the file system for more of one (raising OSError).
    `dangling` has the inodes of links to what is not there."""

    __slots__ = ("_dangling", "_look", "_made_of", "_names", "_sorted", "changed", "closed", "failure")

    def __init__(
        self, names: dict[str, int], look: Callable[[str], os.stat_result], *, dangling: frozenset[int] = frozenset()
    ) -> None:
        self.failure = ""
        """Why the folder cannot be read."""
        self.closed = ""
        """Why nothing in it can be named, though it can be read."""
        self.changed: set[str] = set()
        """Names that will not be what they were when it was read."""
        self._dangling = dangling
        self._names = names
        self._sorted: list[str] | None = None
        self._made_of: dict[str, str] = {}
        self._look = look

    def inode(self, name: str) -> int | None:
        """The inode of that name, 0 for a file that will be made; None where there is none."""
        return self._names.get(name)

    def is_there(self, name: str) -> bool:
        """Whether there is something by that name, and not only a link to what is not."""
        inode = self._names.get(name)
        return inode is not None and inode not in self._dangling

    def look(self, name: str) -> os.stat_result:
        """Its status, of a link itself; of a file that will be made of another, that one's. Raises OSError."""
        try:
            return self._look(name)
        except FileNotFoundError:
            if name not in self._made_of:
                raise
        return self._look(self._made_of[name])

    def names(self) -> list[str]:
        """All names, sorted. It is the listing's own."""
        if self._sorted is None:
            self._sorted = sorted(self._names)
        return self._sorted

    def add(self, name: str, inode: int, made_of: str = "") -> None:
        """There will be a file of that name, in time made of the one that is called `made_of` now."""
        if self._sorted is not None and name not in self._names:
            insort(self._sorted, name)
        self._names[name] = inode
        if made_of:
            self._made_of[name] = made_of
        self.changed.add(name)

    def drop(self, name: str) -> None:
        """There will be none any more."""
        self.changed.add(name)
        if self._names.pop(name, None) is not None and self._sorted is not None:
            del self._sorted[bisect_left(self._sorted, name)]


def nothing(failure: str = "") -> Listing:
    """What is in a folder that cannot be read, or that is not there yet."""

    def look(name: str) -> os.stat_result:
        raise FileNotFoundError(name)

    listing = Listing({}, look)
    listing.failure = failure
    return listing
