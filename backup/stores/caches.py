"""The caches of this host, one for each repository, and which of them nobody has used for long."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backup.stores.contract import FileKind, is_name

MAX_AGE = 30.0
"""Days without use after which a cache is old, as restic has it."""
_DAY = 86400.0
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# Caches of backups made by hostward.\n"
"""What tells backups that a folder is a cache: https://bford.info/cachedir/"""


@dataclass(frozen=True, slots=True)
class Cache:
    """Of one repository."""

    id: str
    """The repository's."""
    path: Path
    used: float
    """When it was last used: seconds since the epoch."""

    def age(self, now: float) -> float:
        """Days, none of them negative: clocks jump."""
        return max(now - self.used, 0.0) / _DAY

    def size(self) -> int:
        """Bytes of its files."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with suppress(OSError):
                    total += Path(folder, name).lstat().st_size
        return total

    def remove(self) -> None:
        """As far as possible: it is only a cache."""
        shutil.rmtree(self.path, ignore_errors=True)


def is_own(folder: Path) -> bool:
    """Whether nobody else can have put anything into the folder of caches, or in its place; also where there is none.

    Else a link that somebody planted would choose what is removed as old, and a pipe would be waited for.
    """
    try:
        above = folder.parent.stat()
        if above.st_uid not in (0, os.geteuid()) or (above.st_mode & 0o002 and not above.st_mode & stat.S_ISVTX):
            return False
        status = folder.lstat()
    except OSError:
        return True
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def use_cache(folder: Path, id: str) -> Path:
    """The cache of a repository in the folder of caches, made where there is none, and used now. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(folder / "CACHEDIR.TAG", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, _TAG)
        finally:
            os.close(descriptor)
    cache = folder / id
    cache.mkdir(mode=0o700, exist_ok=True)
    os.utime(cache)
    return cache


def find_caches(folder: Path) -> list[Cache]:
    """Those in the folder of caches, last used first. Raises OSError, but not where there is no such folder."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            # Repositories are named like files in them.
            if is_name(FileKind.PACK, entry.name) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    used = entry.stat(follow_symlinks=False).st_mtime
                    found.append(Cache(entry.name, Path(entry.path), used))
    return sorted(found, key=lambda cache: cache.used, reverse=True)


def remove_old(folder: Path, *, now: float, days: float = MAX_AGE) -> list[Cache]:
    """Remove the caches that were not used for so many days; gives those. Raises OSError as `find_caches`."""
    old = [cache for cache in find_caches(folder) if cache.age(now) > days]
    for cache in old:
        cache.remove()
    return old
