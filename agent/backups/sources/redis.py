"""Redis and Valkey: the RDB file that the server sends to a new replica.

So a backup needs no file of the server's, and works over a network. The protocol: a replica says what it understands
(`REPLCONF capa eof`; since 7.0 `rdb-only 1`, after which nothing more is sent), then `SYNC`. While the server makes
the file, it sends empty lines; then `$LENGTH` or `$EOF:` and 40 bytes that come again at the end, and the file.
https://redis.io/docs/latest/operate/oss_and_stack/management/replication/, `redis-cli --rdb`.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Protocol

from agent import credentials
from agent.backups.redis_lines import Lines, RedisError
from agent.backups.sources.contract import Contents, Run, SourceError
from agent.config.backup_sources.redis import RedisSource
from backup.archive.streams import Stream
from kit.terminal import bounded, clean
from kit.units import format_duration

PATH = "/redis/dump.rdb"
_THEN = "no snapshot was made"
_MAGIC = b"REDIS"
_EOF = b"EOF:"
_MARK = 40
"""Bytes of the mark at the end of a file whose length nobody knew."""
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CHUNK = 1 << 16


@contextmanager
def opened(options: RedisSource, run: Run) -> Iterator[Contents]:
    """The server is asked when the turn comes."""
    yield Contents(streams=(Stream(PATH, partial(_transfer, options)),), names=("/redis",))


class Source(Protocol):
    """A connection."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """As a socket's."""


class Rdb:
    """The file, as it comes. Raises SourceError where the server ends before it does."""

    def __init__(self, source: Source, announced: bytes, begun: bytes) -> None:
        """`announced` is the line before it, without the `$`, and `begun` what was read beyond that."""
        self._source = source
        self._mark = announced.removeprefix(_EOF) if announced.startswith(_EOF) else b""
        if len(self._mark) != _MARK if self._mark else not _LENGTH.fullmatch(announced):
            raise SourceError("what it announces is no file")
        self._left = -1 if self._mark else int(announced)
        self._held = bytearray(begun)
        """What was read and not given: the mark could be in it."""
        self._first = True
        self._ended = False

    def readinto(self, into: memoryview, /) -> int:
        """Some bytes of it; 0 at its end."""
        if self._first:
            while len(self._held) < len(_MAGIC):
                self._receive()
            if not self._held.startswith(_MAGIC):
                raise SourceError("what it sends is no RDB file")
            self._first = False
        return self._to_mark(into) if self._mark else self._to_length(into)

    def _to_length(self, into: memoryview) -> int:
        if not self._left:
            return 0
        wanted = min(len(into), self._left)
        if self._held:
            count = min(wanted, len(self._held))
            into[:count] = self._held[:count]
            del self._held[:count]
        else:
            count = self._source.recv_into(into[:wanted])
            if not count:
                raise SourceError("it ended the connection before all was sent")
        self._left -= count
        return count

    def _to_mark(self, into: memoryview) -> int:
        # Nothing follows the mark: a server that sends on would send commands only after an acknowledgement.
        while not self._ended and len(self._held) <= _MARK:
            self._ended = self._held == self._mark or not self._receive()
            if self._ended and self._held != self._mark:
                raise SourceError("it ended the connection before all was sent")
        if self._held == self._mark:
            return 0
        count = min(len(into), len(self._held) - _MARK)
        into[:count] = self._held[:count]
        del self._held[:count]
        return count

    def _receive(self) -> int:
        buffer = bytearray(_CHUNK)
        count = self._source.recv_into(memoryview(buffer))
        if not count and self._first:
            raise SourceError("it ended the connection before all was sent")
        self._held += buffer[:count]
        return count


@contextmanager
def _transfer(options: RedisSource) -> Iterator[_Told]:
    password = credentials.read_secret(options.password_file) if options.password_file else ""
    with ExitStack() as stack:
        with _explained(options):
            link = stack.enter_context(_connected(options))
            rdb = _ask(link, options.user, password)
        yield _Told(rdb, options)


def _ask(link: socket.socket, user: str, password: str) -> Rdb:
    lines = Lines(link)
    if password:
        _expect(lines, "AUTH", *([user] if user else []), password)
    _expect(lines, "REPLCONF", "capa", "eof")
    lines.say("REPLCONF", "rdb-only", "1")
    lines.answer()  # older servers do not know it, and send more than is wanted, which is not read
    lines.say("SYNC")
    line = lines.answer()
    if not line.startswith(b"$"):
        raise SourceError(_text(line))
    return Rdb(link, line[1:], lines.rest)


class _Told:
    """The file, with errors that say which server they are about."""

    def __init__(self, rdb: Rdb, options: RedisSource) -> None:
        self._rdb = rdb
        self._options = options

    def readinto(self, into: memoryview, /) -> int:
        with _explained(self._options):
            return self._rdb.readinto(into)


@contextmanager
def _explained(options: RedisSource) -> Iterator[None]:
    try:
        yield
    except (RedisError, SourceError) as error:
        why = str(error)
    except TimeoutError:
        why = f"it says nothing for {format_duration(options.patience)}"
    except ssl.SSLCertVerificationError as error:
        why = f"its TLS certificate is not trusted: {error.verify_message}"
    except OSError as error:
        why = error.strerror or str(error)
    else:
        return
    raise SourceError(f"redis at {clean(options.socket or f'{options.host}:{options.port}')}: {why}; {_THEN}")


def _expect(lines: Lines, *words: str) -> None:
    lines.say(*words)
    if (line := lines.answer()).startswith(b"-"):
        raise SourceError(_text(line))


def _text(line: bytes) -> str:
    return bounded(line.removeprefix(b"-").decode(errors="replace"), 300)


@contextmanager
def _connected(options: RedisSource) -> Iterator[socket.socket]:
    patience = float(options.patience)
    if options.socket:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(patience)
            link.connect(options.socket)
            yield link
        return
    with socket.create_connection((options.host, options.port), patience) as link:
        if not options.tls:
            yield link
            return
        context = ssl.create_default_context(cafile=options.ca_file or None)
        with context.wrap_socket(link, server_hostname=options.host) as secured:
            yield secured
