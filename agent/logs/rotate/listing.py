"""What a folder holds: read once a run, and kept as it becomes by what the run does."""

from __future__ import annotations

from bisect import bisect_left, insort

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable


class Listing:
    """The names of a folder and their inodes; `look` asks the file system for more of one (raising OSError)."""

    __slots__ = ("_look", "_names", "_sorted")

    def __init__(self, names: dict[str, int], look: Callable[[str], os.stat_result]) -> None:
        self._names = names
        self._sorted: list[str] | None = None
        self._look = look

    def inode(self, name: str) -> int | None:
        """The inode of that name; None where there is none."""
        return self._names.get(name)

    def look(self, name: str) -> os.stat_result:
        """Its status, of a link itself. Raises OSError."""
        return self._look(name)

    def names(self) -> list[str]:
        """All names, sorted. It is the listing's own."""
        if self._sorted is None:
            self._sorted = sorted(self._names)
        return self._sorted

    def add(self, name: str, inode: int) -> None:
        """There is now a file of that name."""
        if self._sorted is not None and name not in self._names:
            insort(self._sorted, name)
        self._names[name] = inode

    def drop(self, name: str) -> int:
        """There is none any more. Returns what its inode was, 0 where there was none."""
        inode = self._names.pop(name, None)
        if inode is None:
            return 0
        if self._sorted is not None:
            del self._sorted[bisect_left(self._sorted, name)]
        return inode
