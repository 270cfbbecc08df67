"""Writes a file, or a folder as a tar or zip archive, to a stream that need not be seekable.

As restic's `dump`: what is in a folder (not the folder itself) lies in the archive under the path that it has in the
snapshot. Sockets are left out. A tar has POSIX (pax) headers: times to the nanosecond, names of any bytes, extended
attributes as `SCHILY.xattr.*`, which GNU tar and bsdtar restore. A zip keeps less: no owners, attributes, hard links.
"""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from typing import IO, Any, cast

from backup.errors import DamagedError, RepositoryError
from backup.format.instant import NANOSECONDS
from backup.format.node import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    MAX_PATH,
    SOCKET,
    SYMLINK,
    Node,
    shown,
)
from backup.format.pack import BlobKind
from backup.repository.repository import Repository
from backup.restore.locate import components, find_entry

_TAR_TYPES = {
    FILE: tarfile.REGTYPE,
    FOLDER: tarfile.DIRTYPE,
    SYMLINK: tarfile.SYMTYPE,
    BLOCK_DEVICE: tarfile.BLKTYPE,
    CHARACTER_DEVICE: tarfile.CHRTYPE,
    FIFO: tarfile.FIFOTYPE,
}
_MAX_DEVICE = 0o7777777
"""Seven octal digits; pax has no header for more, nor has Linux such a device."""
_MAX_ZIP_NAME = 65535
"""Bytes: the length of a name has two."""
_FILE_TYPES = {FILE: stat.S_IFREG, FOLDER: stat.S_IFDIR, SYMLINK: stat.S_IFLNK}


class Archive(StrEnum):
    """How a folder is written."""

    TAR = "tar"
    ZIP = "zip"


def dump(repository: Repository, tree: bytes, path: bytes, out: IO[bytes], archive: Archive = Archive.TAR) -> None:
    """Write what `path` names in the tree: a file's content; a folder, or with `/` all, as an archive.

    Raises RepositoryError for what is not there or damaged, and OSError where `out` cannot be written. What is
    written then is not whole: an archive lacks its end.
    """
    node = find_entry(repository, tree, path)
    if node is not None and node.type == FILE:
        for piece in _content(repository, node):
            out.write(piece)
        return
    if node is not None and (node.type != FOLDER or node.subtree is None):
        raise RepositoryError(f"{shown(path)} is of type {node.type!r}: only files and folders can be dumped")
    prefix = b"".join(name + b"/" for name in components(path))
    entries = _entries(repository, tree if node is None or node.subtree is None else node.subtree, prefix)
    if archive is Archive.ZIP:
        _write_zip(repository, entries, out)
    else:
        _write_tar(repository, entries, out)


def _content(repository: Repository, node: Node) -> Iterator[bytes]:
    size = 0
    for id in node.content or ():
        piece = repository.load_blob(BlobKind.DATA, id)
        size += len(piece)
        if size > node.size:
            break
        yield piece
    if size != node.size:
        raise DamagedError(
            f"{shown(node.name)}: its content has not the {node.size} bytes that its size is said to be"
        )


def _entries(repository: Repository, tree: bytes, prefix: bytes) -> Iterator[tuple[bytes, Node]]:
    """(path without a slash before it, node) of all that is in a folder, folders before what they hold."""
    stack = [(prefix, list(reversed(repository.load_tree(tree))))]
    while stack:
        prefix, nodes = stack[-1]
        if not nodes:
            stack.pop()
            continue
        node = nodes.pop()
        if node.type == SOCKET:
            continue
        yield prefix + node.name, node
        if node.type == FOLDER:
            if node.subtree is None:
                raise DamagedError(f"{shown(prefix + node.name)} is a folder without a tree")
            if len(prefix) > MAX_PATH:
                raise DamagedError(f"{shown(prefix[-200:])} lies deeper than {MAX_PATH} bytes of a path can say")
            stack.append((prefix + node.name + b"/", list(reversed(repository.load_tree(node.subtree)))))


def _write_tar(repository: Repository, entries: Iterator[tuple[bytes, Node]], out: IO[bytes]) -> None:
    linked: dict[tuple[int, int], tuple[str, Node]] = {}
    for path, node in entries:
        kind = _TAR_TYPES.get(node.type)
        if kind is None:
            raise DamagedError(f"{shown(path)} is of a type that is not known: {node.type[:40]!r}")
        info = tarfile.TarInfo(path.decode("utf-8", "surrogateescape"))
        info.type = kind
        info.mode = node.permissions
        info.uid, info.gid, info.uname, info.gname = node.uid, node.gid, node.user, node.group
        info.mtime = node.mtime_ns // NANOSECONDS
        info.pax_headers = _pax_headers(node)
        if node.type == SYMLINK:
            info.linkname = node.linktarget.decode("utf-8", "surrogateescape")
        elif node.device:
            # As glibc's makedev, with the major's and the minor's upper bits apart.
            info.devmajor = node.device >> 8 & 0xFFF | node.device >> 32 & ~0xFFF
            info.devminor = node.device & 0xFF | node.device >> 12 & ~0xFF & 0xFFFFFFFF
            if info.devmajor > _MAX_DEVICE or info.devminor > _MAX_DEVICE:
                raise DamagedError(f"{shown(path)} is device {info.devmajor}:{info.devminor}, which no tar can hold")
        elif node.type == FILE:
            first, same = info.name, node
            if node.links > 1:
                first, same = linked.setdefault((node.inode, node.device_id), (first, same))
            # Numbers may have been given anew while the backup ran: a link must not stand for another content.
            if same is not node and same.content == node.content:
                info.type, info.linkname = tarfile.LNKTYPE, first
            else:
                info.size = node.size
        out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if info.type == tarfile.REGTYPE:
            for piece in _content(repository, node):
                out.write(piece)
            out.write(bytes(-node.size % tarfile.BLOCKSIZE))
    out.write(bytes(2 * tarfile.BLOCKSIZE))


def _pax_headers(node: Node) -> dict[str, str]:
    seconds, fraction = divmod(abs(node.mtime_ns), NANOSECONDS)
    headers = {}
    if fraction or node.mtime_ns < 0:
        text = f"{'-' if node.mtime_ns < 0 else ''}{seconds}.{fraction:09d}"
        headers["mtime"] = text.rstrip("0").rstrip(".")
    for name, value in node.extended_attributes:
        headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return headers


class _Stream(io.BufferedIOBase):
    """Lets zipfile know that it can't go back, and keeps it from completing what is not whole."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.broken = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self.broken else self._out.write(data)

    def flush(self) -> None:
        self._out.flush()


def _write_zip(repository: Repository, entries: Iterator[tuple[bytes, Node]], out: IO[bytes]) -> None:
    stream = _Stream(out)
    archive = zipfile.ZipFile(cast(IO[bytes], stream), "w")
    try:
        for path, node in entries:
            if node.type in _FILE_TYPES:  # a zip has none of the others
                _add_to_zip(repository, archive, path, node)
    except BaseException:
        # Closed or forgotten, it would still write the end of an archive.
        stream.broken = True
        raise
    archive.close()


def _add_to_zip(repository: Repository, archive: zipfile.ZipFile, path: bytes, node: Node) -> None:
    # Zip knows names in UTF-8 alone, and years from 1980 to 2107 without an extra field; that one ends in 2038.
    name = path.decode("utf-8", "backslashreplace") + ("/" if node.type == FOLDER else "")
    if len(name.encode()) > _MAX_ZIP_NAME:
        raise RepositoryError(f"{shown(path[-200:])} lies deeper than a zip can say; a tar can")
    seconds = node.mtime_ns // NANOSECONDS
    info = zipfile.ZipInfo(name, time.gmtime(min(max(seconds, 315_532_800), 4_354_819_198))[:6])
    if -(1 << 31) <= seconds < 1 << 31:
        info.extra = struct.pack("<HHBi", 0x5455, 5, 1, seconds)
    info.create_system = 3  # Unix, so that modes count
    info.external_attr = (_FILE_TYPES[node.type] | node.permissions) << 16
    if node.type == FOLDER:
        info.external_attr |= 0x10
        archive.writestr(info, b"", zipfile.ZIP_STORED)
    elif node.type == SYMLINK:
        archive.writestr(info, node.linktarget, zipfile.ZIP_STORED)
    else:
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=node.size >= 1 << 31) as entry:
            for piece in _content(repository, node):
                entry.write(piece)
