"""Index files: which pack holds which blobs (doc/design.rst, "Indexing")."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from backup.errors import DamagedError
from backup.format.pack import BlobKind, PackedBlob

FULL = 50_000
"""Blobs after which an index file is written."""
_KINDS = {"data": BlobKind.DATA, "tree": BlobKind.TREE}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_Id = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
"""Offsets and lengths are four bytes in pack headers."""


class _Blob(msgspec.Struct, omit_defaults=True, gc=False):
    id: _Id
    type: str
    offset: _Number
    length: _Number
    uncompressed_length: _Number = 0


class _Pack(msgspec.Struct):
    id: _Id
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
        return [
            (
                unhexlify(pack.id),
                [
                    PackedBlob(_KINDS[b.type], unhexlify(b.id), b.offset, b.length, b.uncompressed_length)
                    for b in pack.blobs
                ],
            )
            for pack in _DECODER.decode(data).packs
        ]
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
        raise DamagedError(f"an index that is not one: {error}") from None
