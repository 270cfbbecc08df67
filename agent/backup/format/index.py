"""Index files: which pack holds which blobs (doc/design.rst, "Indexing")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from agent.backup.errors import DamagedError
from agent.backup.format.pack import BlobKind, PackedBlob

FULL = 50_000
"""Blobs after which an index file is written."""
_KINDS = {"data": BlobKind.DATA, "tree": BlobKind.TREE}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_LIMIT = 1 << 32
"""Offsets and lengths are four bytes in pack headers."""


class _Blob(msgspec.Struct, omit_defaults=True):
    id: str
    type: str
    offset: int
    length: int
    uncompressed_length: int = 0


class _Pack(msgspec.Struct):
    id: str
    blobs: list[_Blob]


class _Index(msgspec.Struct, omit_defaults=True):
    packs: list[_Pack]
    supersedes: list[str] | None = None


_DECODER = msgspec.json.Decoder(_Index)


def encode_index(packs: Iterable[tuple[bytes, Sequence[PackedBlob]]]) -> bytes:
    """(id of a pack, its blobs) as restic writes them. It no longer writes `supersedes`; nor do we."""
    return msgspec.json.encode(
        _Index(
            [
                _Pack(
                    pack.hex(),
                    [_Blob(b.id.hex(), _NAMES[b.kind], b.offset, b.length, b.plain_length) for b in blobs],
                )
                for pack, blobs in packs
            ]
        )
    )


def parse_index(data: bytes) -> list[tuple[bytes, list[PackedBlob]]]:
    """The reverse. Raises DamagedError."""
    try:
        stored = _DECODER.decode(data)
        found = [
            (
                bytes.fromhex(pack.id),
                [
                    PackedBlob(_KINDS[b.type], bytes.fromhex(b.id), b.offset, b.length, b.uncompressed_length)
                    for b in pack.blobs
                ],
            )
            for pack in stored.packs
        ]
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
        raise DamagedError(f"an index that is not one: {error}") from None
    for pack, blobs in found:
        if len(pack) != 32:
            raise DamagedError(f"an index names a pack by {len(pack)} bytes; expected 32")
        for _, id, offset, length, plain_length in blobs:
            if len(id) != 32 or not (0 <= offset < _LIMIT and 0 <= length < _LIMIT and 0 <= plain_length < _LIMIT):
                raise DamagedError(f"an index places a blob in pack {pack.hex()[:8]} where none can be")
    return found
