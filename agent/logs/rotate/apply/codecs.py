"""Compression by our own hands, in constant memory: zstd, gzip, xz. Each library is loaded when it is used."""

from __future__ import annotations

import os

from agent.logs.rotate.apply import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _Compressor(Protocol):
        def compress(self, data: bytes, /) -> bytes: ...

        def flush(self) -> bytes: ...


_LIBRARIES = {"zstd": "zstandard", "gzip": "zlib", "xz": "lzma"}
_PIECE = 1 << 17
"""Bytes read at a time: small enough that malloc gives the same memory again instead of mapping new pages."""
_MOST_THREADS = 4
_THREADED = 7
"""The highest level of zstd that has more than one thread: each holds a piece of the file, and above that level two
take more than 80 MB."""


def load(codec: str) -> None:
    """Load its library."""
    __import__(_LIBRARIES[codec])


def pour(codec: str, source: int, target: int, *, level: int | None, threads: int) -> None:
    """Compress what is left to read of `source` into `target`. Raises OSError."""
    {"zstd": _zstd, "gzip": _gzip, "xz": _xz}[codec](source, target, level, threads)


def _zstd(source: int, target: int, level: int | None, threads: int) -> None:
    import zstandard

    count = 1 if (level or 0) > _THREADED else min(threads or len(os.sched_getaffinity(0)), _MOST_THREADS)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3 if level is None else level, threads=count if count > 1 else 0, write_checksum=True
    )
    _feed(source, target, zstandard.ZstdCompressor(compression_params=parameters).compressobj())


def _gzip(source: int, target: int, level: int | None, threads: int) -> None:
    import zlib

    _feed(source, target, zlib.compressobj(6 if level is None else level, wbits=31))


def _xz(source: int, target: int, level: int | None, threads: int) -> None:
    import lzma

    # Preset 6 needs 94 MB, which is more than a host has to spare for its logs.
    _feed(source, target, lzma.LZMACompressor(preset=4 if level is None else level))


def _feed(source: int, target: int, compressor: _Compressor) -> None:
    while data := os.read(source, _PIECE):
        _write_all(target, compressor.compress(data))
    _write_all(target, compressor.flush())


def _write_all(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[operations.write(target, rest) :]
