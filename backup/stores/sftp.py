"""A folder on another host, by SFTP, as restic lays a repository out in one.

Sources: draft-ietf-secsh-filexfer-02, the version 3 that OpenSSH speaks; OpenSSH's PROTOCOL for its extensions.
"""

from __future__ import annotations

import re
import secrets
import stat
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import paramiko
from paramiko.sftp import CMD_DATA, CMD_EXTENDED, CMD_READ, CMD_STATUS, SFTPError, int64

from backup.stores.contract import (
    LONGEST,
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
from backup.stores.per_process import PerProcess
from backup.stores.ssh import SILENCE, Address, connect
from backup.stores.upload import Upload, forget_spooled
from kit.errors import UsageError
from kit.terminal import bounded, clean

EXPECTED = "expected sftp:USER@HOST:/PATH or sftp://USER@HOST:PORT//PATH"
BLOCK = 32 * 1024
"""Bytes of one request: what every server takes."""
AHEAD = 64
"""Requests on their way at once while a file is read: 2 MiB, a gigabit at 16 ms."""


class _Link:
    """One connection, and the sessions on it that nobody uses just now."""

    def __init__(self, address: Address, environment: Mapping[str, str], sessions: int) -> None:
        self.connection = connect(address, environment)
        self._idle: list[paramiko.SFTPClient] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(sessions)

    @contextmanager
    def session(self) -> Iterator[paramiko.SFTPClient]:
        """A session for one thread: answers to requests of two would be mixed up."""
        with self._free:
            with self._lock:
                session = self._idle.pop() if self._idle else None
            if session is None:
                session = self._open()
            try:
                yield session
            except FileNotFoundError:
                self._give_back(session)
                raise
            except BaseException:
                # Answers may still be on their way, to be taken for those of the next request.
                session.close()
                raise
            self._give_back(session)

    def _open(self) -> paramiko.SFTPClient:
        session = self.connection.client.open_sftp()
        channel = session.get_channel()
        if channel is not None:
            channel.settimeout(SILENCE)
        return session

    def _give_back(self, session: paramiko.SFTPClient) -> None:
        with self._lock:
            self._idle.append(session)


class SftpStore(Store):
    """A folder of a server. Modes are restic's: 0700 and 0600, or for the group too where it may read `config`."""

    def __init__(self, address: Address, path: str, environment: Mapping[str, str]) -> None:
        """`path` is relative to the folder in which the server's sessions begin, unless it begins with a slash."""
        self.location = f"sftp://{address}/{path}" if address.port else f"sftp:{address}:{path}"
        self._root = path
        self._group: bool | None = None
        self._link = PerProcess(lambda: _Link(address, environment, self.connections))
        self._left: set[str] = set()
        """What is left of uploads, to be removed when the server answers again."""

    def create(self) -> None:
        with self._session(self._root) as session:
            parts = [part for part in self._root.split("/") if part]
            for count in range(1, len(parts) + 1):
                _make_folder(session, ("/" if self._root.startswith("/") else "") + "/".join(parts[:count]), 0o700)
            mode = self._folder_mode(session)
            for folder in FOLDERS:
                _make_folder(session, f"{self._root}/{folder}", mode)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        target = f"{self._root}/{path_of(kind, name)}"
        temporary = f"{target}-hostward-temp-{secrets.token_hex(12)}"
        with Upload(content, self._sending) as body:
            try:
                with self._session(target) as session:
                    self._tidy(session)
                    self._write(session, temporary, body)
                    (_rename_to_new if kind is FileKind.CONFIG else _rename_over)(session, temporary, target)
            except StoreError as error:
                self._left.add(temporary)
                self._try_to_tidy()
                if not error.permanent and self._is_full(target, len(body)):
                    raise PermanentStoreError(f"{self.location}: {target}: no space is left on the server") from error
                raise
        forget_spooled(content)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        path = f"{self._root}/{path_of(kind, name)}"
        with self._session(path) as session, session.open(path, "r") as file:
            size = file.stat().st_size
            if size is None:
                raise PermanentStoreError(f"{path}: the server does not say how long it is")
            if length is None and size - offset > LONGEST[kind]:
                raise PermanentStoreError(f"{path}: is {size} bytes long; expected at most {LONGEST[kind]}")
            end = size if length is None else offset + length
            if max(offset, end) > size:
                raise PermanentStoreError(f"{path}: is {size} bytes long, but bytes up to {end} were asked for")
            content = bytearray()
            for piece in _Blocks(session, file, offset, end):
                self._received(len(piece))
                content += piece
        return bytes(content)

    def size(self, kind: FileKind, name: str) -> int:
        path = f"{self._root}/{path_of(kind, name)}"
        with self._session(path) as session:
            found = session.lstat(path)
        if found.st_size is None or not stat.S_ISREG(found.st_mode or 0):
            raise PermanentStoreError(f"{path}: is not a regular file")
        return found.st_size

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        if kind is FileKind.CONFIG:
            try:
                yield "config", self.size(kind, "config")
            except FileMissingError:
                return
            return
        folder = f"{self._root}/{kind.value}"
        entries = self._entries(folder)
        if entries is not None:
            yield from self._all_files(folder, entries, kind)
            return
        if self._entries(self._root) is None:
            raise PermanentStoreError(f"{self.location}: there is no such folder")
        with self._session(folder) as session:
            in_the_way, has_config = (_exists(session, path) for path in (folder, f"{self._root}/config"))
        require_dropped(kind, folder, in_the_way=in_the_way, has_config=has_config, holds=self._holds)

    def remove(self, kind: FileKind, name: str) -> None:
        path = f"{self._root}/{path_of(kind, name)}"
        with self._session(path) as session:
            session.remove(path)

    def close(self) -> None:
        self._try_to_tidy()
        link = self._link.take()
        if link is not None:
            link.connection.close()

    def _entries(self, folder: str) -> Sequence[paramiko.SFTPAttributes] | None:
        """What is in a folder; None where there is none."""
        try:
            with self._session(folder) as session:
                return session.listdir_attr(folder)
        except FileMissingError:
            return None

    def _all_files(
        self, folder: str, entries: Sequence[paramiko.SFTPAttributes], kind: FileKind
    ) -> Iterator[tuple[str, int]]:
        yield from _files(entries, kind)
        if kind is not FileKind.PACK:
            return
        inner = [
            f"{folder}/{entry.filename}"
            for entry in entries
            if is_inner(entry.filename) and not stat.S_ISREG(entry.st_mode or 0)
        ]
        with ThreadPoolExecutor(self.connections) as pool:
            for path, found in zip(inner, pool.map(self._entries, inner), strict=True):
                if found is None:
                    raise not_a_folder(path)
                yield from _files(found, kind)

    def _holds(self, kind: FileKind) -> bool:
        folder = f"{self._root}/{kind.value}"
        entries = self._entries(folder)
        if entries is not None:
            return next(self._all_files(folder, entries, kind), None) is not None
        with self._session(folder) as session:
            return _exists(session, folder)

    def _write(self, session: paramiko.SFTPClient, path: str, body: Upload) -> None:
        try:
            file = session.open(path, "wx")
        except FileNotFoundError:
            parent = path.rpartition("/")[0]
            above = parent.rpartition("/")[0]
            if not _exists(session, self._root):
                # Never make it anew: it may be where a disk is not mounted just now.
                raise PermanentStoreError(f"{self.location}: there is no such folder") from None
            for folder in (above, parent) if above != self._root else (parent,):
                _make_folder(session, folder, self._folder_mode(session))
            file = session.open(path, "wx")
        with file:
            file.chmod(0o660 if self._for_group(session) else 0o600)
            # Not one round trip for each block; what failed is told by a later call, close() at the latest.
            file.set_pipelined(True)
            while piece := body.read(BLOCK):
                file.write(piece)
            _sync(session, file)
        written = session.lstat(path).st_size
        if written != len(body):
            raise StoreError(f"{path}: is {written} bytes long after {len(body)} were sent")

    def _tidy(self, session: paramiko.SFTPClient) -> None:
        """Remove what is left of uploads."""
        for temporary in list(self._left):
            with suppress(OSError):
                session.remove(temporary)
            self._left.discard(temporary)

    def _try_to_tidy(self) -> None:
        """The same, where the connection still serves; else the next upload does it."""
        if self._left and (link := self._link.peek()) is not None and link.connection.alive():
            with suppress(*_FAILURES), link.session() as session:
                self._tidy(session)

    def _is_full(self, path: str, size: int) -> bool:
        """Whether the server has no room for so many bytes: SFTP's own answer is only that something failed."""
        link = self._link.peek()
        if link is None or not link.connection.alive():
            return False
        with suppress(*_FAILURES), link.session() as session:
            answer = _extended(session, "statvfs@openssh.com", path.rpartition("/")[0])
            _, fragment, _, _, available = (answer.get_int64() for _ in range(5))
            return available * fragment < size
        return False

    def _for_group(self, session: paramiko.SFTPClient) -> bool:
        if self._group is None:
            try:
                self._group = bool((session.lstat(f"{self._root}/config").st_mode or 0) & stat.S_IRGRP)
            except FileNotFoundError:
                return False
        return self._group

    def _folder_mode(self, session: paramiko.SFTPClient) -> int:
        return 0o770 if self._for_group(session) else 0o700

    @contextmanager
    def _session(self, what: str) -> Iterator[paramiko.SFTPClient]:
        """A session on a living connection; what fails in it is told as the StoreError that it means."""
        link = self._link.get()
        if not link.connection.alive():
            self._drop(link)
            link = self._link.get()
        try:
            with link.session() as session:
                yield session
        except StoreError:
            raise
        except FileNotFoundError as error:
            raise FileMissingError(f"{self.location}: {clean(what)}: there is no such file") from error
        except PermissionError as error:
            raise PermanentStoreError(f"{self.location}: {clean(what)}: the server refuses it") from error
        except TimeoutError as error:
            self._drop(link)
            raise StoreError(f"{self.location}: the server has not answered for {SILENCE:.0f} seconds") from error
        except _FAILURES as error:
            # What the server refused leaves the connection as it was.
            if not isinstance(error, OSError) or not link.connection.alive():
                self._drop(link)
            words = bounded(str(error) or "the connection was closed", 200)
            raise StoreError(f"{self.location}: {clean(what)}: {words}") from error

    def _drop(self, link: _Link) -> None:
        if self._link.peek() is link:
            self._link.take()
        link.connection.close()


_FAILURES = (paramiko.SSHException, SFTPError, EOFError, OSError, ValueError, struct.error)
"""What the library raises; the last two for answers that are none."""


def _files(entries: Sequence[paramiko.SFTPAttributes], kind: FileKind) -> Iterator[tuple[str, int]]:
    for entry in entries:
        if is_name(kind, entry.filename) and stat.S_ISREG(entry.st_mode or 0) and entry.st_size is not None:
            yield entry.filename, entry.st_size


def _exists(session: paramiko.SFTPClient, path: str) -> bool:
    try:
        session.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _make_folder(session: paramiko.SFTPClient, path: str, mode: int) -> None:
    try:
        session.mkdir(path, mode)
    except FileNotFoundError:
        raise
    except OSError:
        # The protocol has no word for "is there already"; a folder that is there may also be one that is refused.
        if not _exists(session, path):
            raise


class _Blocks:
    """A range of a file, block by block, with AHEAD requests on their way at once.

    The library has this only with a thread, which fails aloud with its connection, and polls.
    """

    def __init__(self, session: paramiko.SFTPClient, file: paramiko.SFTPFile, start: int, end: int) -> None:
        self._session: Any = session
        self._handle = file.handle
        self._starts = range(start, end, BLOCK)
        self._end = end
        self._arrived: dict[int, bytes] = {}
        self._asked: dict[int, int] = {}

    def __iter__(self) -> Iterator[bytes]:
        ahead = iter(self._starts)
        for start in self._starts:
            while start not in self._arrived:
                while len(self._asked) < AHEAD and (next_start := next(ahead, None)) is not None:
                    size = min(BLOCK, self._end - next_start)
                    number = self._session._async_request(self, CMD_READ, self._handle, int64(next_start), size)
                    self._asked[number] = next_start
                self._session._read_response()
            piece = self._arrived.pop(start)
            while (missing := min(BLOCK, self._end - start) - len(piece)) > 0:
                # A server may send less than it was asked for; at the end of the file it says so, which raises.
                place = int64(start + len(piece))
                _, message = self._session._request(CMD_READ, self._handle, place, missing)
                piece += message.get_string()
            yield piece

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        """Called by the library with each answer."""
        if kind == CMD_STATUS:
            self._session._convert_status(message)
        if kind != CMD_DATA:
            raise SFTPError(f"an answer of kind {kind} to a read")
        self._arrived[self._asked.pop(number)] = message.get_string()


def _sync(session: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """To the disk, where the server offers it."""
    try:
        _extended(session, "fsync@openssh.com", file.handle)
    except OSError as error:
        if error.errno is not None or "unsupported" not in str(error).lower():
            raise


def _extended(session: paramiko.SFTPClient, name: str, what: object) -> paramiko.Message:
    """The answer to a request of the server's own. The library has no public way to make one, but for renaming."""
    _, answer = session._request(CMD_EXTENDED, name, what)  # type: ignore[attr-defined]
    found: paramiko.Message = answer
    return found


def _rename_over(session: paramiko.SFTPClient, path: str, target: str) -> None:
    try:
        session.posix_rename(path, target)
    except OSError as error:
        if error.errno is not None or "unsupported" not in str(error).lower():
            raise
        # A server without the extension does not rename over a file. What is there has the same content by its name.
        with suppress(FileNotFoundError):
            session.remove(target)
        session.rename(path, target)


def _rename_to_new(session: paramiko.SFTPClient, path: str, target: str) -> None:
    if _exists(session, target):
        raise FileExistsStoreError(f"{target}: is there already")
    try:
        session.rename(path, target)
    except OSError as error:
        if _exists(session, target):
            raise FileExistsStoreError(f"{target}: is there already") from error
        raise


def open_location(text: str, environment: Mapping[str, str]) -> SftpStore:
    """The host and folder that follow `sftp:`. Raises UsageError."""
    address, path = _from_url(text) if text.startswith("//") else _from_words(text)
    if address is None or not path:
        raise UsageError(f"sftp: does not name a host and a folder: {EXPECTED}")
    if path.startswith("~"):
        raise UsageError(f"sftp: {clean(path)}: servers know no ~: a path without a slash begins in the user's home")
    return SftpStore(address, re.sub(r"(?<=.)/+$", "", re.sub(r"/{2,}", "/", path)), environment)


def _from_url(text: str) -> tuple[Address | None, str]:
    """`//user@host:port/path`; the path begins in the user's home, or with a second slash at the root."""
    try:
        parts = urlsplit(f"sftp:{text}")
        port = parts.port
    except ValueError:
        return None, ""
    if not parts.hostname or parts.password is not None:
        return None, ""
    # hostname is in lower case, and names in ssh's configuration need not be
    found = re.search(re.escape(parts.hostname), parts.netloc.rpartition("@")[2], re.IGNORECASE)
    host = found.group() if found else parts.hostname
    user = unquote(parts.username) if parts.username else None
    return Address(host, user, port), unquote(parts.path)[1:]


def _from_words(text: str) -> tuple[Address | None, str]:
    """`user@host:path`, `user@[address]:path`."""
    matched = re.fullmatch(r"(?:([^:]*)@)?(?:\[([^]]+)\]|([^:@/]+)):(.*)", text, re.DOTALL)
    if matched is None:
        return None, ""
    user, bracketed, host, path = matched.groups()
    return Address(bracketed or host, user or None), path
