"""The folders that are watched, as a tree, and when something changed in each of them. No I/O.

Time is counted in epochs: a mark is of the epoch in which it was made, and each answer begins another.
"""

from __future__ import annotations

from collections.abc import Iterator

NO_WATCH = -1


class Folder:
    """A folder. It knows its name and its parent, so that a rename is one change, however much is below it."""

    __slots__ = ("blind", "changed", "children", "linked", "name", "parent", "watch", "whole")

    def __init__(self, name: bytes, parent: Folder | None, watch: int) -> None:
        self.name = name
        """Of a root the whole path."""
        self.parent = parent
        self.watch = watch
        """The number of its watch, or NO_WATCH."""
        self.children: dict[bytes, Folder] | None = None
        """By name; None for none, as most have none."""
        self.changed = 0
        """The epoch of the last change in it."""
        self.whole = 0
        """The epoch in which it came here, with all that was in it."""
        self.linked = False
        """A file in it has other names, by which it may change without a word."""
        self.blind = False
        """Changes in it cannot be seen."""

    def path(self) -> bytes:
        """Where it is."""
        names = []
        folder: Folder | None = self
        while folder is not None:
            names.append(folder.name)
            folder = folder.parent
        names.reverse()
        return b"/" + b"/".join(names[1:]) if names[0] == b"/" else b"/".join(names)

    def child(self, name: bytes) -> Folder | None:
        """The folder in it."""
        return None if self.children is None else self.children.get(name)

    def below(self) -> Iterator[Folder]:
        """It, and all folders in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            if folder.children:
                waiting += folder.children.values()


class Folders:
    """All of them, and the marks."""

    def __init__(self) -> None:
        self.roots: dict[bytes, Folder] = {}
        self.by_watch: dict[int, Folder] = {}
        self.epoch = 1
        self._marked: set[Folder] = set()

    def __len__(self) -> int:
        return len(self.by_watch)

    @property
    def marked(self) -> int:
        """How many would be in an answer now."""
        return len(self._marked)

    def add(self, parent: Folder | None, name: bytes, watch: int) -> Folder:
        """A new folder; a root has no parent. There must be none in its place."""
        folder = Folder(name, parent, watch)
        if watch != NO_WATCH:
            self.by_watch[watch] = folder
        if parent is None:
            self.roots[name] = folder
        else:
            _put(folder, parent)
        return folder

    def take_out(self, folder: Folder) -> None:
        """A folder leaves its place, with all that is in it; it may be put into another."""
        if folder.parent is None:
            del self.roots[folder.name]
        elif folder.parent.children is not None:
            del folder.parent.children[folder.name]
        folder.parent = None

    def put(self, folder: Folder, parent: Folder, name: bytes) -> None:
        """What was taken out comes into a place, in which there must be none."""
        folder.name, folder.parent = name, parent
        _put(folder, parent)

    def forget(self, folder: Folder) -> list[int]:
        """What was taken out does not come back: the numbers of its watches."""
        watches = []
        for each in folder.below():
            self._marked.discard(each)
            if each.watch != NO_WATCH:
                del self.by_watch[each.watch]
                watches.append(each.watch)
        return watches

    def holds(self, folder: Folder) -> bool:
        """Whether it is in its place, and watched."""
        return self.by_watch.get(folder.watch) is folder

    def mark(self, folder: Folder) -> None:
        """Something changed in it."""
        folder.changed = self.epoch
        self._marked.add(folder)

    def mark_whole(self, folder: Folder) -> None:
        """It is not what was in its place before."""
        folder.whole = self.epoch
        self._marked.add(folder)

    def mark_always(self, folder: Folder, *, linked: bool = False, blind: bool = False) -> None:
        """From now on it is in every answer."""
        folder.linked |= linked
        folder.blind |= blind
        self._marked.add(folder)

    def since(self, epoch: int) -> tuple[list[bytes], list[bytes]]:
        """The folders in which something changed after an epoch, and those that are to be scanned wholly."""
        changed, whole = [], []
        for folder in self._marked:
            if folder.blind or folder.whole > epoch:
                whole.append(folder.path())
            elif folder.linked or folder.changed > epoch:
                changed.append(folder.path())
        return changed, whole

    def clear(self, epoch: int) -> None:
        """Drop the marks up to an epoch: nobody asks for them any more."""
        self._marked = {
            folder
            for folder in self._marked
            if folder.blind or folder.linked or folder.whole > epoch or folder.changed > epoch
        }


def _put(folder: Folder, parent: Folder) -> None:
    if parent.children is None:
        parent.children = {}
    parent.children[folder.name] = folder
