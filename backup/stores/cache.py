"""Keeps what commands read again and again on the host's own disk: index files, snapshots, and packs of trees.

What is kept is as it lies in the store: sealed. A cache holds no key, and whoever reads it learns no more than from
the repository itself. Each file is proven by its name, the hash of its content: what a kill, a full disk or a bad
sector made of it is noticed and fetched again. Nothing that goes wrong here makes an operation fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from backup.stores.caches import use_cache
from backup.stores.contract import FileKind, SpooledFile, Store, is_name
from backup.stores.fork_lock import ForkLock
from backup.stores.home import home_of
from backup.stores.spool import clean_spool, open_spool
from backup.stores.wrapper import Wrapper

KEPT = (FileKind.INDEX, FileKind.SNAPSHOT, FileKind.PACK)
_BLOCK = 1 << 20


def folder_of_caches(environment: Mapping[str, str]) -> Path:
    """Where caches are when no option says so: RESTIC_CACHE_DIR, systemd's CacheDirectory=, or XDG's place for them.

    None of its own is shared with restic, whose caches are otherwise laid out.
    """
    if named := environment.get("RESTIC_CACHE_DIR") or environment.get("CACHE_DIRECTORY", "").partition(":")[0]:
        return Path(named, "hostward-backup")
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = home_of(environment) / ".cache"
    return base / "hostward-backup"


class CachedStore(Wrapper):
    """Whole files of KEPT, in a folder for each repository. Of packs only those that are said to hold trees."""

    def __init__(self, inner: Store, folder: Path, repository: str) -> None:
        """`repository` is the id in the repository's config, so that a copy in another place has the same cache."""
        super().__init__(inner)
        self._folder = folder / repository
        self._holds_trees: Callable[[str], bool] = lambda name: False
        self._proven: dict[tuple[FileKind, str], tuple[int, int, int]] = {}
        self._locks: dict[tuple[FileKind, str], ForkLock] = {}
        self._lock = ForkLock()
        with contextlib.suppress(OSError):
            use_cache(folder, repository)
            for kind in KEPT:
                (self._folder / kind.value).mkdir(mode=0o700, exist_ok=True)
            clean_spool(self._folder)

    def tell_trees(self, holds_trees: Callable[[str], bool]) -> None:
        self._holds_trees = holds_trees
        self.inner.tell_trees(holds_trees)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        kept: Path | None = None
        if kind in KEPT and (kind is not FileKind.PACK or (isinstance(content, SpooledFile) and content.trees)):
            # Before it is saved, for then a spooled file is gone; a name only after, for then it is in the store.
            with contextlib.suppress(OSError):
                kept = self._spool(content)
        try:
            self.inner.save(kind, name, content)
        except BaseException:
            if kept is not None:
                kept.unlink(missing_ok=True)
            raise
        if kept is not None:
            with contextlib.suppress(OSError):
                kept.rename(self._path(kind, name))

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if kind not in KEPT or not is_name(kind, name) or (kind is FileKind.PACK and not self._holds_trees(name)):
            return self.inner.load(kind, name, offset, length)
        with self._lock:
            lock = self._locks.setdefault((kind, name), ForkLock())
        with lock:
            content = self._kept(kind, name, offset, length)
            if content is not None:
                return content
            whole = self.inner.load(kind, name)
            if hashlib.sha256(whole).hexdigest() == name:
                with contextlib.suppress(OSError):
                    self._write(self._path(kind, name), whole)
            elif offset or length is not None:
                whole = b""  # let the store say what is wrong, or give another answer
        end = len(whole) if length is None else offset + length
        if max(offset, end) > len(whole) or (not whole and length != 0):
            return self.inner.load(kind, name, offset, length)
        return whole[offset:end]

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        there = set()
        for name, size in self.inner.list(kind):
            there.add(name)
            yield name, size
        if kind in KEPT:
            self._forget(kind, there)

    def remove(self, kind: FileKind, name: str) -> None:
        if kind in KEPT and is_name(kind, name):
            with contextlib.suppress(OSError):
                self._path(kind, name).unlink()
        self.inner.remove(kind, name)

    def _path(self, kind: FileKind, name: str) -> Path:
        return self._folder / kind.value / name

    def _kept(self, kind: FileKind, name: str, offset: int, length: int | None) -> bytes | None:
        """From the cache, if it is there and right."""
        path = self._path(kind, name)
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self._proven.get((kind, name)) != identity:
                    if hashlib.file_digest(file, "sha256").hexdigest() != name:
                        path.unlink()
                        return None
                    self._proven[kind, name] = identity
                wanted = status.st_size - offset if length is None else length
                if wanted < 0 or offset + wanted > status.st_size:
                    return None
                file.seek(offset)
                content = file.read(wanted)
        except OSError:
            return None
        return content if len(content) == wanted else None

    def _forget(self, kind: FileKind, there: set[str]) -> None:
        """What is no longer in the store."""
        with contextlib.suppress(OSError), os.scandir(self._folder / kind.value) as entries:
            for entry in entries:
                if entry.name not in there:
                    with contextlib.suppress(OSError):
                        Path(entry.path).unlink()

    def _write(self, path: Path, content: bytes) -> None:
        self._spool(content).rename(path)

    def _spool(self, content: bytes | SpooledFile) -> Path:
        """A copy in a temp file, which is not synced: what a power cut makes of it is noticed by its hash."""
        file, path = open_spool(self._folder)
        try:
            with file:
                if isinstance(content, SpooledFile):
                    with content.path.open("rb") as source:
                        shutil.copyfileobj(source, file, _BLOCK)
                else:
                    file.write(content)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path
