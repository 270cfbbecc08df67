"""The folders of a run: each is opened once and read once, until something ran that may have changed it."""

from __future__ import annotations

import os

from agent.logs.rotate.listing import Listing

_MOST = 64
"""Folders that are kept open at a time."""


class Folder:
    """An open folder; `descriptor` is for names in it."""

    __slots__ = ("_read", "descriptor", "identity", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._read: list[Listing] = []
        """What is in it, once that was read."""
        self.descriptor = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(self.descriptor)
            self.identity = status.st_dev, status.st_ino
        except BaseException:
            os.close(self.descriptor)
            raise

    def listing(self) -> Listing:
        """What is in it. Raises OSError."""
        if not self._read:
            links = []
            with os.scandir(self.descriptor) as entries:
                names = {}
                for entry in entries:
                    names[entry.name] = entry.inode()
                    if entry.is_symlink():
                        links.append(entry.name)
            dangling = frozenset(names[name] for name in links if self._dangles(name))
            listing = Listing(names, self.look, dangling=dangling)
            try:
                self.look(".")
            except OSError as error:
                listing.closed = str(error.strerror)
            self._read.append(listing)
        return self._read[0]

    def share(self, other: Folder) -> None:
        """Have one listing with another, which is the same folder by another path."""
        self._read = other._read

    def will_change(self, name: str) -> bool:
        """Whether a plan has foreseen something for that name."""
        return bool(self._read) and name in self._read[0].changed

    def _dangles(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.descriptor)
        except OSError:
            return True
        return False

    def look(self, name: str) -> os.stat_result:
        """The status of a name in it, of a link itself. Raises OSError."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def has(self, name: str, inode: int) -> bool:
        """Whether that name still is the file of that inode."""
        try:
            return self.look(name).st_ino == inode
        except FileNotFoundError:
            return False

    def close(self) -> None:
        self._read.clear()
        os.close(self.descriptor)


class Folders:
    """Folders by path."""

    def __init__(self) -> None:
        self._open: dict[str, Folder] = {}

    def of(self, path: str) -> tuple[Folder, str]:
        """The folder that a path is in, and its name there. Raises OSError."""
        folder, _, name = path.rpartition("/")
        return self.at(folder), name

    def at(self, path: str) -> Folder:
        """The folder of that path. Raises OSError."""
        folder = self._open.get(path)
        if folder is None:
            while len(self._open) >= _MOST:
                self._open.pop(next(iter(self._open))).close()
            folder = Folder(path)
            for other in self._open.values():
                if other.identity == folder.identity:
                    folder.share(other)
                    break
            self._open[path] = folder
        return folder

    def forget(self) -> None:
        """Whatever is asked for next is looked at anew."""
        for folder in self._open.values():
            folder.close()
        self._open.clear()
