"""Logs and their rotated pieces as chunks of complete lines, in constant memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple, cast

import zstandard

from agent.logs import names
from agent.logs.names import is_compressed
from kit.errors import HostwardError

CHUNK = 1 << 17
"""Bytes that are read at once, and of the longest line: what is made of them fits into a processor's cache."""
BLOCKS = 8
"""Parts that a plain file is cut into, unless they become too small or too large."""
BLOCK = (4 << 20, 64 << 20)
"""Bytes of a part, least and most. Of what does not fit into bounded counts, parts are the steps: they must depend on
nothing but the log, and above all not on the number of processors."""

_WINDOW = 1 << 27
"""Bytes that a frame of zstd may make its reader keep: those of `zstd --long`."""
_STEP = 512
"""Bytes that are decompressed at once: no more than 16 MiB come out of them, four for a block of 128 KiB."""


class UnreadableLogError(HostwardError):
    """A log, or a piece of one, cannot be read; the message says why."""


class Piece(NamedTuple):
    """A file: a log, or a rotated piece of one."""

    path: str
    size: int
    written: float
    """Seconds since the epoch."""

    @property
    def is_compressed(self) -> bool:
        """Whether it can only be read from its beginning."""
        return is_compressed(os.fsencode(self.path))


def pieces(path: Path, since: float) -> list[Piece]:
    """A log with the rotated pieces beside it that were written to since then, the oldest first.

    A path that is a rotated piece itself stands for itself alone. Raises UnreadableLogError.
    """
    try:
        first = _piece(path)
    except OSError as error:
        raise UnreadableLogError(f"{path}: {error.strerror}") from error
    if first is None:
        raise UnreadableLogError(f"{path}: not a file: expected a log")
    name = os.fsencode(path.name)
    found = {}
    if names.base(name) is None or is_compressed(name):
        found = _rotated(path, name)
    found[first.path] = first
    ordered = sorted(found.values(), key=lambda piece: (piece.path == first.path, piece.written, piece.path))
    return [piece for piece in ordered if piece.written >= since]


def _rotated(path: Path, name: bytes) -> dict[str, Piece]:
    """The rotated pieces of a log, each content once: a piece that was compressed a moment ago may be there twice."""
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return {}
    found = {}
    for each in beside:
        raw = os.fsencode(each.name)
        if raw == name or raw.startswith(b".") or names.base(raw) != name:
            continue
        try:
            piece = _piece(each)
        except OSError:  # it was rotated away
            continue
        if piece is not None:
            found[piece.path] = piece
    return {
        key: piece for key, piece in found.items() if not (piece.is_compressed and key.rpartition(".")[0] in found)
    }


def _piece(path: Path) -> Piece | None:
    about = path.stat()
    if stat.S_ISDIR(about.st_mode) or stat.S_ISSOCK(about.st_mode) or stat.S_ISBLK(about.st_mode):
        return None
    return Piece(str(path), about.st_size if stat.S_ISREG(about.st_mode) else 0, about.st_mtime)


def blocks(size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file: where each begins and ends."""
    step = min(max(BLOCK[0], -(-size // BLOCKS)), BLOCK[1])
    for start in range(0, size, step):
        yield start, min(start + step, size)


def chunks(piece: Piece, start: int = 0, end: int | None = None) -> Generator[tuple[bytes, int], None, None]:
    """Complete lines that begin in the bytes from `start` to `end` of a file, about CHUNK of them at once, and how
    many of these were too long: of a line, no more than CHUNK is given.

    Compressed pieces are given from their beginning to their end. Raises UnreadableLogError.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(open(piece.path, "rb"))
            stream = _opened(file, piece.path, stack) if piece.is_compressed else file
            yield from lines_of(stream, start, end)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableLogError(f"{piece.path}: {said}") from error


def lines_of(stream: IO[bytes], start: int = 0, end: int | None = None) -> Generator[tuple[bytes, int], None, None]:
    """As `chunks`, of an open stream, which can be sought in where `start` is not 0."""
    at = start
    skipping = start > 0
    if skipping:  # The line that ends here, or in the bytes before, belongs to those.
        at = start - 1
        stream.seek(at)
    rest = b""
    while data := stream.read(CHUNK):
        if skipping:
            cut = data.find(b"\n") + 1
            if not cut:
                at += len(data)
                continue
            at, data, skipping = at + cut, data[cut:], False
        if end is not None and at >= end and not rest:
            return
        cut = 0
        if end is not None and at + len(data) >= end:
            # The last line of ours is the one that holds the byte before `end`.
            cut = data.find(b"\n", max(end - 1 - at, 0)) + 1
            if cut:
                yield _clean(rest + data[:cut]), 0
                return
        cut = data.rfind(b"\n") + 1
        if cut:
            yield _clean(rest + data[:cut]), 0
            rest = data[cut:]
        else:
            rest += data
        at += len(data)
        rest = rest.lstrip(b"\0")
        if len(rest) > CHUNK:
            yield rest[:CHUNK], 1
            rest, skipping = b"", True
    if rest:
        yield _clean(rest), 0


def _clean(lines: bytes) -> bytes:
    """Without the holes that programs leave which go on writing where they were after a truncation."""
    lines = lines.removesuffix(b"\n")
    return lines.replace(b"\0", b"") if b"\0" in lines else lines


def _opened(file: IO[bytes], path: str, stack: ExitStack) -> IO[bytes]:
    suffix = path.rpartition(".")[2]
    if suffix == "gz":
        return cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=file)))
    if suffix == "xz":
        return cast(IO[bytes], stack.enter_context(lzma.LZMAFile(file)))
    if suffix == "bz2":
        return cast(IO[bytes], stack.enter_context(bz2.BZ2File(file)))
    if suffix == "zst":
        return cast(IO[bytes], _Zstandard(file))
    raise UnreadableLogError(f"{path}: expected plain text, .gz, .xz, .bz2 or .zst")


class _Zstandard:
    """Frames of zstd. The library's own reader takes a frame that ends too early for a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._library = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._frame = self._library.decompressobj()
        self._begun = False
        self._rest = b""

    def read(self, size: int) -> bytes:
        """About so much, or a little more; nothing at the end. Raises EOFError, ZstdError, OSError."""
        parts = []
        have = 0
        while have < size:
            data = self._rest or self._file.read(_STEP)
            self._rest = b""
            if not data:
                if self._begun:
                    raise EOFError("it ends within a frame of zstd")
                break
            out = self._frame.decompress(data)
            self._begun = True
            if self._frame.eof:
                self._rest = self._frame.unused_data
                self._frame = self._library.decompressobj()
                self._begun = False
            parts.append(out)
            have += len(out)
        return b"".join(parts)
