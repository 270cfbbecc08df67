"""zstd as restic uses it in repositories of version 2 (doc/design.rst, "Compression").

A blob's header and index entry hold its plain length; a file that lies in no pack begins with 0x02 when it is
compressed. What comes from a repository is hostile: nothing is decompressed beyond the length that was declared.
"""

from __future__ import annotations

import zstandard

from backup.errors import DamagedError
from backup.format.compression import MAX_BLOB_LENGTH, MAX_FILE_LENGTH, Compression

_COMPRESSED_FILE = b"\x02"
_WELL = 0.4
"""Compressed to this part of its size, or less, a blob has compressed well."""


class BlobCodec:
    """Compresses and decompresses many blobs with contexts made once. Not for several threads at a time."""

    def __init__(self, mode: Compression = Compression.AUTO) -> None:
        # What the seal authenticates needs no checksum.
        self._thorough = zstandard.ZstdCompressor(level=mode.level, write_checksum=False, write_content_size=True)
        self._quick = zstandard.ZstdCompressor(level=mode.quick_level, write_checksum=False, write_content_size=True)
        self._compressor = self._quick
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, plain: bytes | bytearray | memoryview) -> bytes | None:
        """The compressed blob, or None where it would not be shorter."""
        packed = self._compressor.compress(plain)
        # Blobs that follow each other are mostly of one kind: logs are worth more effort, images are not.
        self._compressor = self._thorough if len(packed) <= _WELL * len(plain) else self._quick
        return packed if len(packed) < len(plain) else None

    def decompress(self, stored: bytes | bytearray | memoryview, plain_length: int) -> bytes:
        """The blob, of exactly `plain_length` bytes. Raises DamagedError."""
        if not 0 < plain_length <= MAX_BLOB_LENGTH:
            raise DamagedError(f"A blob claims {plain_length} bytes; at most {MAX_BLOB_LENGTH} are read.")
        plain = _decompress(self._decompressor, stored, plain_length)
        if len(plain) != plain_length:
            raise DamagedError(f"A blob decompresses to {len(plain)} bytes where {plain_length} are declared.")
        return plain


def compress_file(plain: bytes, mode: Compression = Compression.AUTO) -> bytes:
    """The content of an index, snapshot or lock before it is sealed; compressed in every mode, as restic does."""
    return _COMPRESSED_FILE + zstandard.ZstdCompressor(level=mode.level, write_checksum=False).compress(plain)


def decompress_file(stored: bytes | bytearray | memoryview) -> bytes:
    """The JSON of an index, snapshot or lock: plain as version 1 has it, or compressed. Raises DamagedError."""
    head = bytes(stored[:1])
    if head in (b"{", b"["):
        return bytes(stored)
    if head != _COMPRESSED_FILE:
        raise DamagedError(f"A file of the repository begins with {head.hex() or 'nothing'}, not with 02, {{ or [.")
    return _decompress(zstandard.ZstdDecompressor(), memoryview(stored)[1:], MAX_FILE_LENGTH)


def _decompress(
    decompressor: zstandard.ZstdDecompressor, packed: bytes | bytearray | memoryview, limit: int
) -> bytes:
    """One zstd frame, of at most `limit` bytes."""
    try:
        size = zstandard.frame_content_size(packed)
        if size > limit:
            raise DamagedError(f"Compressed data claims {size} bytes where at most {limit} can be.")
        if size >= 0:
            return decompressor.decompress(packed, allow_extra_data=False)
        # The frame does not tell: memory grows with what there is, not with the limit.
        with decompressor.stream_reader(packed, read_across_frames=False) as reader:
            parts: list[bytes] = []
            while part := reader.read(min(1 << 20, limit + 1)):
                parts.append(part)
                limit -= len(part)
                if limit < 0:
                    raise DamagedError("Compressed data is longer than can be.")
            return b"".join(parts)
    except zstandard.ZstdError as error:
        raise DamagedError(f"Compressed data is damaged: {error}.") from None
    except MemoryError:
        raise DamagedError(f"Compressed data claims more memory than there is, up to {limit} bytes.") from None
