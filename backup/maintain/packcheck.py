"""Verifying one pack, which is read once: its own hash, every blob, and its header against the index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from backup.errors import DamagedError
from backup.format.cipher import Cipher
from backup.format.pack import (
    LENGTH_FIELD,
    MAX_HEADER,
    BlobKind,
    PackedBlob,
    encode_header,
    header_length,
    parse_header,
)
from backup.repository.blobs import Location
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, StoreError

_PIECE = 1 << 20
"""Bytes that are read at once, but for blobs that are larger: each process holds two of them."""
_FAR_PIECE = 4 << 20
"""The same over a network, where a request costs a way there and back."""
_LONGEST_TAIL = MAX_HEADER + LENGTH_FIELD


@dataclass(slots=True)
class PackResult:
    """What came out."""

    pack: bytes
    size: int
    """Bytes that were read."""
    faults: list[str] = field(default_factory=list)
    """Sentences, each about the pack as a whole or a blob in it."""
    blobs: list[tuple[BlobKind, bytes]] = field(default_factory=list)
    """Those that are not what they should be."""
    unreadable: bool = False
    """The store did not give it, so nothing is known of what it holds."""


def check_pack(repository: Repository, pack: bytes, size: int, blobs: list[PackedBlob]) -> PackResult:
    """Verify a pack of `size` bytes that holds `blobs` (sorted by offset) by the index.

    What fails is done once more: it may have been the way and not the place. It is told all the same.
    """
    first = _check(repository, pack, size, blobs)
    if not first.faults:
        return first
    second = _check(repository, pack, size, blobs)
    if second.faults:
        return second
    first.faults = [f"{fault} (but not when it was read again)" for fault in first.faults]
    first.blobs = []
    return first


def _check(repository: Repository, pack: bytes, size: int, blobs: list[PackedBlob]) -> PackResult:
    result = PackResult(pack, size)
    try:
        _verify(repository, result, blobs)
    except StoreError as error:
        _fault(result, f"cannot be read: {error}")
        result.unreadable = True
    return result


def _verify(repository: Repository, result: PackResult, blobs: list[PackedBlob]) -> None:
    name, size = result.pack.hex(), result.size
    digest = hashlib.sha256()
    at = 0
    piece = _FAR_PIECE if repository.store.is_remote else _PIECE

    def read(end: int) -> memoryview:
        nonlocal at
        data = repository.store.load(FileKind.PACK, name, at, end - at)
        digest.update(data)
        at = end
        return memoryview(data)

    for group in _groups(blobs, piece):
        if group[-1].offset + group[-1].length > size:
            for blob in group:
                _blob_fault(result, blob, f"the index says that it ends beyond the pack's {size} bytes")
            continue
        start = at
        data = read(group[-1].offset + group[-1].length)
        for blob in group:
            begin = blob.offset - start
            if begin < 0:
                _blob_fault(result, blob, "the index says that it lies within another")
                continue
            place = Location(result.pack, blob.offset, blob.length, blob.plain_length)
            try:
                repository.open_blob(blob.kind, blob.id, data[begin : begin + blob.length], place)
            except DamagedError as error:
                result.faults.append(str(error))
                result.blobs.append((blob.kind, blob.id))
    while at < size - _LONGEST_TAIL:
        read(min(at + piece, size - _LONGEST_TAIL))
    tail = read(size)
    if digest.digest() != result.pack:
        _fault(result, "its content does not have the hash that is its name")
    _compare_header(repository, result, blobs, tail)


def _groups(blobs: Sequence[PackedBlob], piece: int) -> Iterator[list[PackedBlob]]:
    """Blobs one after the other, as many as make a piece."""
    group: list[PackedBlob] = []
    size = 0
    end = 0
    for blob in blobs:
        if group and (size + blob.length > piece or blob.offset + blob.length < end):
            yield group
            group, size = [], 0
        group.append(blob)
        size += blob.length
        end = max(end, blob.offset + blob.length)
    if group:
        yield group


def _compare_header(repository: Repository, result: PackResult, blobs: list[PackedBlob], tail: memoryview) -> None:
    try:
        length = header_length(bytes(tail[-LENGTH_FIELD:]), result.size)
        if length + LENGTH_FIELD > len(tail):
            raise DamagedError("it is longer than what follows the blobs that the index knows")
        plain = Cipher(repository.key).open(tail[-length - LENGTH_FIELD : -LENGTH_FIELD])
        if _are_packed(blobs) and plain == encode_header(blobs):
            return  # as nearly all are: this takes a quarter of the time
        header = parse_header(plain)
    except DamagedError as error:
        _fault(result, f"its header is damaged: {error}")
        return
    known, listed = set(blobs), set(header)
    for blob in sorted(listed - known, key=lambda blob: blob.offset):
        _fault(result, f"its header has {_named(blob)} at {blob.offset}, which the index has not there")
    for blob in sorted(known - listed, key=lambda blob: blob.offset):
        _fault(result, f"the index has {_named(blob)} at {blob.offset}, which its header has not there")


def _are_packed(blobs: Sequence[PackedBlob]) -> bool:
    """Whether each begins where the one before it ends, as a header has it: that lists no offsets."""
    at = 0
    for _, _, offset, length, _ in blobs:
        if offset != at:
            return False
        at += length
    return True


def _fault(result: PackResult, what: str) -> None:
    result.faults.append(f"pack {result.pack.hex()[:8]}: {what}")


def _blob_fault(result: PackResult, blob: PackedBlob, what: str) -> None:
    result.faults.append(f"{_named(blob)} in pack {result.pack.hex()[:8]}: {what}")
    result.blobs.append((blob.kind, blob.id))


def _named(blob: PackedBlob) -> str:
    return f"{blob.kind.name.lower()} {blob.id.hex()[:8]}"
