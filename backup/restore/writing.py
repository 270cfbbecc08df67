"""Putting entries into folders of the target: what the forked processes do, and what is done when they have."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import secrets
import stat
from collections import OrderedDict
from contextlib import suppress

from backup.format.node import BLOCK_DEVICE, CHARACTER_DEVICE, FIFO, SYMLINK, Node
from backup.metadata import Applier
from backup.restore.below import Descriptors, Folder, remove_all
from backup.restore.leftovers import temporary_name

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 4096
_ZEROS = bytes(_BLOCK)


class File:
    """A file of a batch."""

    __slots__ = (
        "counted",
        "existing",
        "failure",
        "folder",
        "inode",
        "lengths",
        "matches",
        "name",
        "node",
        "same",
        "temporary",
    )

    def __init__(self, folder: Folder, name: bytes, node: Node) -> None:
        self.folder = folder
        self.name = name
        self.node = node
        self.existing = False
        """Whether there is a regular file of this name, to be compared."""
        self.same = False
        """Whether its content is right already."""
        self.matches: bytes = b""
        """For each blob, 1 where the existing file has it in its place."""
        self.temporary = b""
        """The name under which a file of several blobs is put together."""
        self.inode = 0
        self.lengths: list[int] = []
        """Bytes of each blob."""
        self.counted = 0
        """Bytes of it that count as restored so far."""
        self.failure = ""

    @property
    def path(self) -> bytes:
        """Within the snapshot."""
        return self.folder.path_of(self.name)


class Writer:
    """Writes entries. One for each process."""

    def __init__(self, folders: Descriptors, applier: Applier, *, sparse: bool, delete: bool) -> None:
        self.folders = folders
        self.applier = applier
        self._sparse = sparse
        self._delete = delete
        self._token = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._parts: OrderedDict[bytes, int] = OrderedDict()
        """Descriptors of files that are being put together, by their temporary names."""

    # Whole files, of one blob or none

    def write_file(self, file: File, content: bytes) -> list[str]:
        """Write a file and its metadata; gives back what it could not be given. Raises OSError.

        Where there was nothing it gets its name at once; else it takes the other's place when it is whole.
        """
        folder = self.folders.open(file.folder)
        if not file.existing:
            try:
                return self._write_new(folder, file.name, file.node, content)
            except FileExistsError:
                pass  # somebody made one meanwhile
        name = self.temporary()
        problems = self._write_new(folder, name, file.node, content)
        self.rename(folder, name, file.name)
        return problems

    def _write_new(self, folder: int, name: bytes, node: Node, content: bytes) -> list[str]:
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=folder)
        try:
            if content:
                self._write(descriptor, content, 0)
                if self._sparse:
                    os.ftruncate(descriptor, len(content))
            return self.applier.to_descriptor(descriptor, node)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, content: bytes, offset: int) -> None:
        if self._sparse:
            for start, end in _runs(content, offset):
                _write_all(descriptor, memoryview(content)[start:end], offset + start)
        else:
            _write_all(descriptor, content, offset)

    # Files of several blobs, put together under another name

    def begin(self, file: File) -> None:
        """Make the file that is put together. Raises OSError."""
        folder = self.folders.open(file.folder)
        file.temporary = self.temporary()
        descriptor = os.open(file.temporary, _CREATE, 0o600, dir_fd=folder)
        try:
            os.ftruncate(descriptor, file.node.size)
            file.inode = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)

    def write_part(self, file: File, content: bytes, offset: int) -> None:
        """Write one blob to its place. Raises OSError."""
        self._write(self._part(file), content, offset)

    def copy_parts(self, file: File) -> None:
        """Take over what the existing file has right. Raises OSError."""
        source = os.open(file.name, _READ, dir_fd=self.folders.open(file.folder))
        try:
            target = self._part(file)
            offset = 0
            for matches, length in zip(file.matches, file.lengths, strict=True):
                if matches:
                    content = _read(source, length, offset)
                    if len(content) != length:
                        raise OSError(errno.ESTALE, "the file changed while it was being restored")
                    self._write(target, content, offset)
                offset += length
        finally:
            os.close(source)

    def _part(self, file: File) -> int:
        descriptor = self._parts.get(file.temporary)
        if descriptor is not None:
            self._parts.move_to_end(file.temporary)
            return descriptor
        descriptor = self._reopen(file, os.O_WRONLY)
        self._parts[file.temporary] = descriptor
        if len(self._parts) > 32:
            os.close(self._parts.popitem(last=False)[1])
        return descriptor

    def _close_part(self, file: File) -> None:
        descriptor = self._parts.pop(file.temporary, None)
        if descriptor is not None:
            os.close(descriptor)

    def _reopen(self, file: File, flags: int) -> int:
        folder = self.folders.open(file.folder)
        descriptor = os.open(file.temporary, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        if os.fstat(descriptor).st_ino != file.inode:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "the file was exchanged while it was being restored")
        return descriptor

    def finish(self, file: File) -> list[str]:
        """Give the file that was put together its metadata and its name. Raises OSError."""
        self._close_part(file)
        descriptor = self._reopen(file, os.O_RDONLY)
        try:
            problems = self.applier.to_descriptor(descriptor, file.node)
        finally:
            os.close(descriptor)
        self.rename(self.folders.open(file.folder), file.temporary, file.name)
        file.temporary = b""
        return problems

    def abandon(self, file: File) -> None:
        """Remove what was begun."""
        if file.temporary:
            self._close_part(file)
            with suppress(OSError):
                os.unlink(file.temporary, dir_fd=self.folders.open(file.folder))
            file.temporary = b""

    # Files that are there already

    def compare(self, file: File) -> bytes:
        """For each blob, 1 where the existing file has it in its place; one byte more, 1 for the right size."""
        try:
            descriptor = os.open(file.name, _READ, dir_fd=self.folders.open(file.folder))
        except OSError:
            return bytes(len(file.lengths) + 1)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return bytes(len(file.lengths) + 1)
            found = bytearray()
            offset = 0
            for id, length in zip(file.node.content or (), file.lengths, strict=True):
                content = _read(descriptor, length, offset) if offset + length <= status.st_size else b""
                found.append(len(content) == length and hashlib.sha256(content).digest() == id)
                offset += length
            found.append(status.st_size == offset)
            return bytes(found)
        except OSError:
            return bytes(len(file.lengths) + 1)
        finally:
            os.close(descriptor)

    def renew(self, file: File) -> list[str]:
        """Give a file whose content is right its metadata. Raises OSError."""
        descriptor = os.open(file.name, _READ, dir_fd=self.folders.open(file.folder))
        try:
            return self.applier.to_descriptor(descriptor, file.node)
        finally:
            os.close(descriptor)

    # All else

    def write_other(self, folder: Folder, node: Node) -> list[str]:
        """Make a symbolic link, a device or a FIFO, in the place of whatever is there. Raises OSError."""
        parent = self.folders.open(folder)
        with suppress(FileExistsError):
            return self._make_other(parent, node.name, node)
        name = self.temporary()
        problems = self._make_other(parent, name, node)
        self.rename(parent, name, node.name)
        return problems

    def _make_other(self, folder: int, name: bytes, node: Node) -> list[str]:
        if b"\0" in node.linktarget:
            raise OSError(errno.EINVAL, "it leads to a path with a NUL, which cannot be")
        if node.type == SYMLINK:
            os.symlink(node.linktarget, name, dir_fd=folder)
        elif node.type == FIFO:
            os.mkfifo(name, 0o600, dir_fd=folder)
        elif node.type == BLOCK_DEVICE:
            os.mknod(name, stat.S_IFBLK | 0o600, node.device, dir_fd=folder)
        elif node.type == CHARACTER_DEVICE:
            os.mknod(name, stat.S_IFCHR | 0o600, node.device, dir_fd=folder)
        else:
            raise OSError(errno.EINVAL, f"its type {node.type[:40]!r} is not known")
        return self.applier.to_entry(folder, name, node)

    def link(self, source: Folder, source_name: bytes, folder: Folder, name: bytes) -> None:
        """Make a hard link to a file that is restored. Raises OSError."""
        above = self.folders.open(source)
        status = os.stat(source_name, dir_fd=above, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "what it is a hard link to is no file")
        parent = self.folders.open(folder)
        there = self.folders.status(folder, name)
        if there is not None and (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino):
            return
        temporary = self.temporary()
        os.link(source_name, temporary, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        self.rename(parent, temporary, name)

    def rename(self, folder: int, temporary: bytes, name: bytes) -> None:
        """Give an entry its name, in the place of whatever is there. Raises OSError, and the entry is gone.

        A folder is only removed when it is empty, or when all that the snapshot lacks is to be deleted.
        """
        try:
            try:
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except IsADirectoryError:
                if self._delete:
                    remove_all(folder, name)
                else:
                    try:
                        os.rmdir(name, dir_fd=folder)
                    except OSError as error:
                        if error.errno != errno.ENOTEMPTY:
                            raise
                        raise OSError(errno.ENOTEMPTY, "a folder that is not empty stands in its place") from error
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise

    def temporary(self) -> bytes:
        """A name for what is not whole yet."""
        return temporary_name(self._token, next(self._numbers))


def _write_all(descriptor: int, content: bytes | memoryview, offset: int) -> None:
    written = os.pwrite(descriptor, content, offset)
    if written < len(content):
        view = memoryview(content)
        while written < len(view):
            written += os.pwrite(descriptor, view[written:], offset + written)


def _read(descriptor: int, length: int, offset: int) -> bytes:
    content = os.pread(descriptor, length, offset)
    while len(content) < length:
        more = os.pread(descriptor, length - len(content), offset + len(content))
        if not more:
            break
        content += more
    return content


def _runs(content: bytes, offset: int) -> list[tuple[int, int]]:
    """(start, end) in `content` of what lies in blocks of the file that are not all zeros."""
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(content):
        end = min(len(content), at + _BLOCK - (offset + at) % _BLOCK)
        if content[at:end] != _ZEROS[: end - at]:
            if runs and runs[-1][1] == at:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((at, end))
        at = end
    return runs
