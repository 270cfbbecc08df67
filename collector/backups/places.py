"""Where repositories are: folders as restic lays them out, or prefixes in a bucket of S3."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from backup.stores.contract import FileKind, FileMissingError, PermanentStoreError, Store
from backup.stores.registry import open_store
from backup.stores.spool import ABANDONED, clean_spool
from collector.backups.settings import BackupOptions
from collector.backups.turns import THREADS
from kit.credentials import read_environment
from kit.errors import HostwardError

FOLDER = "backups"
"""In the collector's own folder, where the configuration names no other place."""
INCOMING = "backups-incoming"
"""Beside it: what is on its way to S3."""
SPOOL = "tmp"
"""restic's layout has this folder too: in it is what is on its way into a folder."""
OPEN = 64
"""Stores that are kept open; each has connections of its own."""


class Places:
    """Gives the store of each repository. Safe for threads."""

    def __init__(self, options: BackupOptions, data_folder: Path) -> None:
        """Raises HostwardError where credentials are named that cannot be read, or S3 without what it takes."""
        self.options = options
        self.folder = data_folder
        self._is_remote = options.place.startswith("s3:")
        self._base = options.place.rstrip("/") or str(data_folder / FOLDER)
        self._own = not options.place
        self._incoming = data_folder / INCOMING
        self.environment = dict(os.environ)
        """For stores: credentials are in it."""
        if options.environment_file is not None:
            self.environment |= read_environment(options.environment_file)
        self._stores: dict[str, Store] = {}
        self._lock = threading.Lock()
        if self._is_remote:
            self._open("nothing").close()  # what is wrong with the place is told at the start

    def prepare(self) -> None:
        """Make what is the collector's own, and remove what was received by one that was killed.

        Raises HostwardError.
        """
        try:
            if self._is_remote:
                self._incoming.mkdir(mode=0o700, exist_ok=True)
            elif self._own:
                Path(self._base).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HostwardError(f"{error.filename} cannot be made: {error.strerror}") from error
        # Nobody else receives here, and what is being received is locked: no age need protect it.
        later = time.time() + ABANDONED
        if self._is_remote:
            clean_spool(self._incoming, now=later)
            return
        try:
            folders = [one for one in Path(self._base).iterdir() if one.is_dir()]
        except OSError:  # not mounted just now: whoever comes is told
            return
        for folder in folders:
            clean_spool(folder / SPOOL, now=later)

    def location(self, repository: str) -> str:
        """Where it is, as `restic -r` takes it."""
        return f"{self._base}/{repository}"

    def store(self, repository: str) -> Store:
        """The repository's, wherever it is; nothing need be there."""
        with self._lock:
            found = self._stores.pop(repository, None) or self._open(repository)
            self._stores[repository] = found  # the last that was used is the last to go
            while len(self._stores) > OPEN:
                self._stores.pop(next(iter(self._stores))).close()
            return found

    def create(self, repository: str) -> None:
        """Make the place of a repository. What is there stays. Raises StoreError."""
        if not self._is_remote and not Path(self._base).is_dir():
            # Never made anew: it may be where a disk is not mounted just now.
            raise PermanentStoreError(f"{self._base}: there is no such folder; is a disk not mounted?")
        self.store(repository).create()

    def is_there(self, repository: str) -> bool:
        """Whether there is a repository, with its config. Raises StoreError."""
        try:
            self.store(repository).size(FileKind.CONFIG, "config")
        except FileMissingError:
            return False
        return True

    def spool_folder(self, repository: str) -> Path:
        """Where what is received is written first: on a disk, from where the store saves it by a rename.

        Raises StoreError.
        """
        return self.store(repository).spool_folder() or self._incoming

    def room(self) -> int:
        """Bytes that are free where what is received is written. Raises OSError."""
        found = os.statvfs(self._incoming if self._is_remote else self._base)
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        """Give back connections."""
        with self._lock:
            while self._stores:
                self._stores.popitem()[1].close()

    def _open(self, repository: str) -> Store:
        store = open_store(self.location(repository), self.environment)
        store.connections = THREADS
        return store
