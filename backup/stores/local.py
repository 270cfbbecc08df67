"""A folder, as restic lays a repository out in one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from backup.stores.contract import (
    LONGEST,
    PIECE,
    FileExistsStoreError,
    FileKind,
    FileMissingError,
    PermanentStoreError,
    SpooledFile,
    Store,
    StoreError,
    is_name,
)
from backup.stores.layout import FOLDERS, is_inner, not_a_folder, path_of, require_dropped
from backup.stores.spool import clean_spool, make_folder, open_spool
from kit import mountinfo
from kit.errors import UsageError
from kit.files import fsync_folder
from kit.terminal import bounded, clean

SPOOL = "tmp"
"""restic's layout has this folder too, and nothing looks for files of the repository in it."""

_LOST_AND_FOUND = "lost+found"
"""What an empty file system has."""

_COHERENT = frozenset(
    b"bcachefs btrfs exfat ext2 ext3 ext4 f2fs jfs nilfs2 ntfs3 overlay ramfs tmpfs vfat xfs zfs".split()
)
"""File systems of which this kernel makes every change itself, also those that others ask for over a network."""

_MOUNTS = Path("/proc/self/mountinfo")

_PASSING = {errno.EIO, errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE, errno.EBUSY, errno.ENOMEM,
            errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET, errno.EMFILE,
            errno.ENFILE, errno.ENOBUFS, errno.ENOLCK, errno.EREMOTEIO}  # fmt: skip
"""What can be otherwise the next time, on disks and over networks. A full disk does not become empty by waiting."""

_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""How file systems say that they know no fsync."""


class LocalStore(Store):
    """A folder of a file system.

    Like restic: files are read-only for their owner, and for the group too where the group may read `config`.
    A symbolic link is never followed where a file is expected; the folders may be links.
    """

    is_remote = False

    def __init__(self, path: str | Path) -> None:
        self.location = str(path)
        self._root = Path(path).absolute()
        self._group: bool | None = None
        self._spool_is_clean = False

    def create(self) -> None:
        with _told(self.location):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._require_empty()
            for folder in FOLDERS:
                (self._root / folder).mkdir(mode=self._folder_mode(), exist_ok=True)
            for folder in ("", "data"):
                _sync_folder(self._root / folder)
            with contextlib.suppress(PermissionError):  # it may be one that is not ours to read
                _sync_folder(self._root.parent)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        target = self._root / path_of(kind, name)
        with _told(str(target)):
            if isinstance(content, SpooledFile):
                self._save_spooled(target, content, kind)
            else:
                self._count(len(content))
                file, path = open_spool(self.spool_folder())
                with file, _removed(path):
                    file.write(content)
                    file.flush()
                    self._finish(file.fileno(), path, target, kind)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        path = self._root / path_of(kind, name)
        with _told(str(path)), _opened(path) as descriptor:
            size = os.fstat(descriptor).st_size
            wanted = max(size - offset, 0) if length is None else length
            if offset + wanted > size:
                raise PermanentStoreError(
                    f"{path}: is {size} bytes long, but {wanted} bytes from {offset} on were asked for"
                )
            if length is None and wanted > LONGEST[kind]:
                raise PermanentStoreError(f"{path}: is {size} bytes long; expected at most {LONGEST[kind]}")
            pieces = []
            while wanted and (piece := os.pread(descriptor, wanted, offset)):
                pieces.append(piece)
                offset += len(piece)
                wanted -= len(piece)
            if wanted:
                raise StoreError(f"{path}: became shorter while it was read")
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.pace is not None:
            for start in range(0, len(content), PIECE):
                self._received(min(PIECE, len(content) - start))
        return content

    def size(self, kind: FileKind, name: str) -> int:
        path = self._root / path_of(kind, name)
        with _told(str(path)):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise PermanentStoreError(f"{path}: is not a regular file")
            return status.st_size

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        if kind is FileKind.CONFIG:
            with contextlib.suppress(FileMissingError):
                yield "config", self.size(kind, "config")
            return
        folder = self._root / kind.value
        with _told(str(folder)):
            self._require_root()
            if folder.is_dir():
                yield from _all_files(folder, kind)
                return
            require_dropped(
                kind,
                str(folder),
                in_the_way=os.path.lexists(folder),
                has_config=os.path.lexists(self._root / "config"),
                holds=self._holds,
            )

    def remove(self, kind: FileKind, name: str) -> None:
        path = self._root / path_of(kind, name)
        with _told(str(path)):
            path.unlink()
            _sync_folder(path.parent)

    def spool_folder(self) -> Path:
        folder = self._root / SPOOL
        with _told(str(folder)):
            self._require_root()
            if folder.is_symlink():
                raise PermanentStoreError(f"{folder}: is a symbolic link, expected a folder")
            make_folder(folder, self._folder_mode())
        if not self._spool_is_clean:
            self._spool_is_clean = True
            clean_spool(folder)
        return folder

    def is_coherent(self) -> bool:
        try:
            mounts = mountinfo.parse(_MOUNTS.read_bytes())
            holder = mountinfo.holding(mounts, os.fsencode((self._root / FileKind.LOCK.value).resolve()))
        except (OSError, RuntimeError):  # no /proc; links in a circle
            return False
        return holder is not None and holder.kind in _COHERENT

    def close(self) -> None:
        with contextlib.suppress(OSError):  # somebody's files are in it, or there is none
            (self._root / SPOOL).rmdir()

    def _save_spooled(self, target: Path, content: SpooledFile, kind: FileKind) -> None:
        if not content.path.exists():
            raise PermanentStoreError(f"{content.path}: what was to be saved is not there")
        with _opened(content.path) as descriptor:
            found = os.fstat(descriptor).st_size
            if found != content.size:
                raise PermanentStoreError(f"{content.path}: is {found} bytes long, expected {content.size}")
            self._count(found)
            try:
                self._finish(descriptor, content.path, target, kind)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(content.path, target, kind)
            content.path.unlink(missing_ok=True)

    def _copy(self, source: Path, target: Path, kind: FileKind) -> None:
        """From another file system."""
        # Beside its target rather than in the spool folder: `data` may be a link to a file system of its own.
        self._make_folder(target.parent)
        file, path = open_spool(target.parent)
        with file, _removed(path), source.open("rb") as original:
            shutil.copyfileobj(original, file, 1 << 20)
            file.flush()
            self._finish(file.fileno(), path, target, kind)

    def _finish(self, descriptor: int, path: Path, target: Path, kind: FileKind) -> None:
        """Make durable what is in `path`, and give it its name."""
        self._require_root()
        _sync(descriptor)
        with contextlib.suppress(PermissionError):  # file systems without modes
            os.fchmod(descriptor, 0o440 if self._for_group() else 0o400)
        if kind is FileKind.CONFIG:
            _link(path, target)
        else:
            try:
                path.rename(target)
            except FileNotFoundError:
                self._make_folder(target.parent)
                path.rename(target)
        try:
            _sync_folder(target.parent)
        except OSError:
            with contextlib.suppress(OSError):
                target.rename(path)  # what failed can be tried again
            raise

    def _make_folder(self, folder: Path) -> None:
        """One that was left out of a copy of the repository because it was empty."""
        for one in (folder.parent, folder):
            if one == self._root or one.is_dir():
                continue
            one.mkdir(mode=self._folder_mode(), exist_ok=True)
            try:
                _sync_folder(one.parent)
            except OSError:
                with contextlib.suppress(OSError):
                    one.rmdir()  # so that the next try syncs it too
                raise

    def _holds(self, kind: FileKind) -> bool:
        folder = self._root / kind.value
        if folder.is_dir():
            return next(_all_files(folder, kind), None) is not None
        return os.path.lexists(folder)

    def _for_group(self) -> bool:
        if self._group is None:
            try:
                self._group = bool((self._root / "config").lstat().st_mode & stat.S_IRGRP)
            except OSError:
                return False
        return self._group

    def _folder_mode(self) -> int:
        return 0o770 if self._for_group() else 0o700

    def _require_root(self) -> None:
        """Never make the folder anew: it may be where a disk is not mounted just now."""
        if not self._root.is_dir():
            raise PermanentStoreError(f"{self.location}: there is no such folder")

    def _require_empty(self) -> None:
        """What is used for something else becomes no repository; what an `init` that was killed left does."""
        for folder, own in (
            (self._root, {*FOLDERS, "config", SPOOL, _LOST_AND_FOUND}),
            (self._root / "data", {one.removeprefix("data/") for one in FOLDERS}),
        ):
            if folder.is_dir() and (other := sorted({one.name for one in folder.iterdir()} - own)):
                raise PermanentStoreError(
                    f"{self.location} is not empty, it has {bounded(other[0], 100)}: expected a folder of its own for"
                    " the repository"
                )

    def _count(self, size: int) -> None:
        if self.pace is not None:
            for start in range(0, size, PIECE):
                self._sending(min(PIECE, size - start))


def _link(path: Path, target: Path) -> None:
    """Rename, but never over what is there."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links: two that create at the very same moment are not told apart.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        path.rename(target)
    else:
        path.unlink()


def _files(folder: Path, kind: FileKind) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_name(kind, entry.name) and entry.is_file(follow_symlinks=False):
                try:
                    yield entry.name, entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue  # removed meanwhile


def _all_files(folder: Path, kind: FileKind) -> Iterator[tuple[str, int]]:
    yield from _files(folder, kind)
    if kind is not FileKind.PACK:
        return
    with os.scandir(folder) as entries:
        inner = [Path(entry) for entry in entries if is_inner(entry.name) and (entry.is_dir() or entry.is_symlink())]
    for one in inner:
        if not one.is_dir():
            raise not_a_folder(str(one))
        yield from _files(one, kind)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    # Not blocking: opening a pipe would wait for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PermanentStoreError(f"{path}: is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    try:
        fsync_folder(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """OSError as the StoreError that it means."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissingError(f"{clean(what)}: there is no such file") from error
    except FileExistsError as error:
        raise FileExistsStoreError(f"{clean(what)}: is there already") from error
    except NotADirectoryError as error:
        raise PermanentStoreError(f"{clean(_in_the_way(what))} is no folder") from error
    except OSError as error:
        kind = StoreError if error.errno in _PASSING else PermanentStoreError
        raise kind(f"{clean(what)}: {error.strerror or error}") from error


def _in_the_way(path: str) -> str:
    """What `path` would lie in, and is no folder."""
    return next((str(one) for one in reversed(Path(path).parents) if one.exists() and not one.is_dir()), path)


def open_location(text: str, environment: Mapping[str, str]) -> LocalStore:
    """The folder that follows `local:`. Raises UsageError."""
    if not text:
        raise UsageError("local: names no folder: expected local:/PATH")
    return LocalStore(text)
