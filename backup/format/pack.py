"""The header of a pack file, which lists the blobs before it (doc/design.rst, "Pack Format").

A pack is blobs || sealed header || length of the sealed header (4 bytes). Numbers are little-endian. An entry is
type (1) || stored length (4) || [plain length (4), of compressed blobs] || id (32); the types are 0 data, 1 tree,
2 compressed data, 3 compressed tree. Offsets follow from the order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from backup.errors import DamagedError
from backup.format.compression import MAX_BLOB_LENGTH
from backup.format.crypto import OVERHEAD

PACK_SIZE = 16 << 20
"""Bytes at which a pack is full; restic's default."""
MAX_HEADER = 16 << 20
"""Bytes of the longest sealed header that restic reads."""
LENGTH_FIELD = 4
"""Bytes at a pack's very end, which tell the header's length."""

_PLAIN = struct.Struct("<BI32s")
_COMPRESSED = struct.Struct("<BII32s")
ENTRY_LENGTH = _COMPRESSED.size
"""Bytes of the longest entry."""
_COMPRESSED_TYPE = 2


class BlobKind(IntEnum):
    """What a blob holds. The same bytes have the same id as either kind, and are two blobs."""

    DATA = 0
    TREE = 1


class PackedBlob(NamedTuple):
    """Where in its pack a blob lies."""

    kind: BlobKind
    id: bytes
    """SHA-256 of the plain blob, 32 bytes."""
    offset: int
    length: int
    """Bytes as stored, with the seal."""
    plain_length: int
    """Bytes when decompressed; 0 for a blob that is stored without compression."""


_KINDS = (BlobKind.DATA, BlobKind.TREE)


def entry_length(plain_length: int) -> int:
    """Bytes that a blob of this plain length (0: it is not compressed) takes in its pack's header."""
    return _COMPRESSED.size if plain_length else _PLAIN.size


def pack_length(blobs: Iterable[PackedBlob]) -> int:
    """Bytes that a pack of these blobs has."""
    return OVERHEAD + LENGTH_FIELD + sum(blob.length + entry_length(blob.plain_length) for blob in blobs)


def encode_header(blobs: Iterable[PackedBlob]) -> bytes:
    """The plain header of a pack that holds these blobs one after the other from offset 0."""
    return b"".join(
        _COMPRESSED.pack(kind + _COMPRESSED_TYPE, length, plain_length, id)
        if plain_length
        else _PLAIN.pack(kind, length, id)
        for kind, id, _, length, plain_length in blobs
    )


def parse_header(plain: bytes | memoryview) -> list[PackedBlob]:
    """The blobs of a pack. Raises DamagedError."""
    if len(plain) > MAX_HEADER:
        raise DamagedError(f"A pack's header has {len(plain)} bytes; at most {MAX_HEADER} can be.")
    blobs: list[PackedBlob] = []
    at = offset = 0
    try:
        while at < len(plain):
            kind = plain[at]
            if kind < _COMPRESSED_TYPE:
                _, length, id = _PLAIN.unpack_from(plain, at)
                plain_length = 0
                at += _PLAIN.size
            elif kind < 2 * _COMPRESSED_TYPE:
                _, length, plain_length, id = _COMPRESSED.unpack_from(plain, at)
                at += _COMPRESSED.size
                if not plain_length:
                    raise DamagedError("A pack's header names a compressed blob without a plain length.")
            else:
                raise DamagedError(f"A pack's header names a blob of type {kind}; 0 to 3 are known.")
            check_lengths(length, plain_length)
            blobs.append(PackedBlob(_KINDS[kind % _COMPRESSED_TYPE], id, offset, length, plain_length))
            offset += length
    except struct.error:
        raise DamagedError("A pack's header ends within an entry.") from None
    return blobs


def check_lengths(length: int, plain_length: int) -> None:
    """Raise DamagedError where no blob can have this stored length, seal and all, and plain length (0: the same)."""
    if not OVERHEAD <= length <= MAX_BLOB_LENGTH + OVERHEAD or not 0 <= plain_length <= MAX_BLOB_LENGTH:
        raise DamagedError(
            f"A blob is said to take {length} bytes for {plain_length or length - OVERHEAD}, which cannot be."
        )


def header_length(tail: bytes, pack_size: int) -> int:
    """Bytes of the sealed header, from the pack's last four bytes and its whole size. Raises DamagedError."""
    if len(tail) != LENGTH_FIELD:
        raise DamagedError(f"A pack of {pack_size} bytes is too short to hold a header.")
    length = int.from_bytes(tail, "little")
    if not OVERHEAD <= length <= min(MAX_HEADER, pack_size - LENGTH_FIELD):
        raise DamagedError(f"A pack of {pack_size} bytes claims a header of {length}.")
    return length
