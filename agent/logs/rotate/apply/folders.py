"""The folders of a run: each is opened once and read once, until something ran that may have changed it."""

from __future__ import annotations

import os

from agent.logs.rotate.listing import Listing

_MOST = 64
"""Folders that are kept open at a time."""


class Folder:
    """An open folder; `descriptor` is for names in it."""

    __slots__ = ("_listing", "descriptor", "device", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._listing: Listing | None = None
        self.descriptor = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.device = os.fstat(self.descriptor).st_dev
        except BaseException:
            os.close(self.descriptor)
            raise

    def listing(self) -> Listing:
        """What is in it. Raises OSError."""
        if self._listing is None:
            links = []
            with os.scandir(self.descriptor) as entries:
                names = {}
                for entry in entries:
                    names[entry.name] = entry.inode()
                    if entry.is_symlink():
                        links.append(entry.name)
            dangling = frozenset(names[name] for name in links if self._dangles(name))
            self._listing = Listing(names, self.look, dangling=dangling)
        return self._listing

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
            folder = self._open[path] = Folder(path)
        return folder

    def forget(self) -> None:
        """Whatever is asked for next is looked at anew."""
        for folder in self._open.values():
            folder.close()
        self._open.clear()
