"""Filling packs: each blob is compressed, sealed, opened again to be sure of it, and written to a spooled file.

Used by every process that adds blobs; a writer belongs to one process and one kind of blobs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from backup.errors import DamagedError, RepositoryError
from backup.format.cipher import Cipher, Sealed
from backup.format.codec import BlobCodec
from backup.format.compression import Compression
from backup.format.crypto import OVERHEAD, MasterKey
from backup.format.pack import (
    ENTRY_LENGTH,
    LENGTH_FIELD,
    MAX_HEADER,
    PACK_SIZE,
    BlobKind,
    PackedBlob,
    encode_header,
)
from backup.stores.contract import SpooledFile
from backup.stores.spool import open_spool

_FLUSH_AT = 256 << 10
"""Bytes that are hashed and written at once: small blobs one by one would cost a call each."""
_FEW = 64
"""Parts up to which they are hashed and written as they are: to put them together would copy what is large."""
_MOST_BLOBS = (MAX_HEADER - OVERHEAD) // ENTRY_LENGTH


Parts = tuple[bytes | memoryview, ...]
"""Bytes that follow each other. Large ones are not put together, which would be to copy them."""


class FinishedPack(NamedTuple):
    """A pack that can be saved."""

    id: bytes
    """SHA-256 of the file, its name."""
    file: SpooledFile | None
    """None where nothing was to be written."""
    blobs: list[PackedBlob]


class SealedBlob(NamedTuple):
    """A blob as it would lie in a pack."""

    id: bytes
    sealed: Parts
    plain_length: int
    """0: it is not compressed."""


class PackWriter:
    """Fills packs of one kind, one after the other: `add` until `full`, then `finish`, and again.

    Errors of the file system come as RepositoryError.
    """

    def __init__(
        self,
        folder: Path | None,
        key: MasterKey,
        kind: BlobKind,
        *,
        compression: Compression = Compression.AUTO,
        extra_verify: bool = True,
        pack_size: int = PACK_SIZE,
        discard: bool = False,
    ) -> None:
        """Spool in `folder`, or where temporary files go. With `discard` nothing is written: a dry run."""
        self._folder = folder
        self._kind = kind
        self._cipher = Cipher(key)
        self._codec = BlobCodec(compression)
        self._compress = compression is not Compression.OFF or kind is BlobKind.TREE
        self._extra_verify = extra_verify
        self._pack_size = pack_size
        self._discard = discard
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._begin()

    def _begin(self) -> None:
        self._hash = hashlib.sha256()
        self._waiting: list[bytes | memoryview] = []
        self._waiting_size = 0
        self._size = 0
        self._blobs: list[PackedBlob] = []

    def __len__(self) -> int:
        """Blobs in the current pack."""
        return len(self._blobs)

    @property
    def full(self) -> bool:
        """Whether `finish` is due."""
        return self._size >= self._pack_size or len(self._blobs) >= _MOST_BLOBS

    def add(self, id: bytes, plain: bytes | bytearray | memoryview) -> PackedBlob:
        """Add a blob whose SHA-256 is `id`. Raises DamagedError where it does not open as it was."""
        sealed, plain_length = self._seal(plain)
        if self._extra_verify:
            opened = self._opened(sealed, plain_length)
            if opened is None or hashlib.sha256(opened).digest() != id:
                raise self._damaged(id)
        return self.add_sealed(id, sealed, plain_length)

    def seal(self, plain: bytes | memoryview) -> SealedBlob:
        """A blob for `add_sealed`, verified and named at once: hashed once where `add` needs a second time.

        Its id is that of what the sealed bytes open to, and that is compared with `plain`: what `add` would find is
        found. Raises DamagedError.
        """
        sealed, plain_length = self._seal(plain)
        opened = self._opened(sealed, plain_length)
        # `startswith` compares with memory as it lies there; `==` would take a view's bytes one by one.
        if opened is None or len(opened) != len(plain) or not opened.startswith(plain):
            raise self._damaged(hashlib.sha256(plain).digest())
        return SealedBlob(hashlib.sha256(opened).digest(), sealed, plain_length)

    def add_sealed(self, id: bytes, sealed: Parts, plain_length: int) -> PackedBlob:
        """Add what `seal` gave, or a blob as another pack holds it, which the caller has opened and verified."""
        begin = self._size
        self._write(*sealed)
        blob = PackedBlob(self._kind, id, begin, self._size - begin, plain_length)
        self._blobs.append(blob)
        return blob

    def finish(self) -> FinishedPack | None:
        """Complete the pack, and begin anew; None where it has no blob.

        Whoever saves the file keeps it from being taken for abandoned (stores/spool.py).
        """
        if not self._blobs:
            return None
        header = self._cipher.seal(encode_header(self._blobs))
        if self._extra_verify and self._cipher.open(header) != encode_header(self._blobs):
            raise DamagedError("the header of a pack does not open as it was; is the memory of this host sound?")
        self._write(header)
        self._write(len(header).to_bytes(LENGTH_FIELD, "little"))
        self._flush()
        file = None
        if self._path is not None:
            assert self._file is not None
            self._file.close()
            file = SpooledFile(self._path, self._size, trees=self._kind is BlobKind.TREE)
        finished = FinishedPack(self._hash.digest(), file, self._blobs)
        self._file = self._path = None
        self._begin()
        return finished

    def abandon(self) -> None:
        """Remove what was begun."""
        if self._path is not None and self._file is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._file = self._path = None
        self._begin()

    def _seal(self, plain: bytes | bytearray | memoryview) -> tuple[Sealed, int]:
        """(sealed, plain length; 0: it is not compressed)."""
        packed = self._codec.compress(plain) if self._compress else None
        if packed is None:
            return self._cipher.seal_in_parts(plain), 0
        return self._cipher.seal_in_parts(packed), len(plain)

    def _opened(self, sealed: Sealed, plain_length: int) -> bytes | None:
        """What was just sealed; None where it does not open."""
        try:
            plain = self._cipher.open_parts(sealed)
            return self._codec.decompress(plain, plain_length) if plain_length else plain
        except DamagedError:
            return None

    def _damaged(self, id: bytes) -> DamagedError:
        return DamagedError(
            f"{self._kind.name.lower()} {id.hex()[:8]} does not open as it was after it was sealed, and is not"
            " written; is the memory of this host sound?"
        )

    def _write(self, *parts: bytes | memoryview) -> None:
        self._waiting += parts
        length = sum(map(len, parts))
        self._size += length
        self._waiting_size += length
        if self._waiting_size >= _FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        parts = self._waiting if len(self._waiting) <= _FEW else [b"".join(self._waiting)]
        length = self._waiting_size
        self._waiting = []
        self._waiting_size = 0
        for part in parts:
            self._hash.update(part)
        if self._discard:
            return
        try:
            if self._file is None:
                self._file, self._path = open_spool(self._folder)
            descriptor = self._file.fileno()
            written = os.writev(descriptor, parts)
            if written < length:
                rest = memoryview(b"".join(parts))[written:]
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            raise RepositoryError(
                f"a pack could not be written to {self._path or self._folder or 'the temporary folder'}:"
                f" {error.strerror or error}"
            ) from error
