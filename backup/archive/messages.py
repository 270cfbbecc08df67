"""What the parent and its workers say to each other."""

from __future__ import annotations

from pathlib import Path

import msgspec

from backup.format.crypto import OVERHEAD
from backup.format.pack import PackedBlob
from backup.repository.packer import FinishedPack
from backup.stores.contract import SpooledFile


class Added(msgspec.Struct, array_like=True, gc=False):
    """What was new."""

    blobs: int = 0
    plain: int = 0
    """Bytes before compression."""
    stored: int = 0
    """Bytes in packs."""

    def count(self, blob: PackedBlob) -> None:
        """Add a blob."""
        self.blobs += 1
        self.plain += blob.plain_length or blob.length - OVERHEAD
        self.stored += blob.length


class Files(msgspec.Struct, tag="files", array_like=True, gc=False):
    """Save these small files."""

    number: int
    folders: list[tuple[bytes, list[bytes]]]
    """(path of the folder, names)."""


class Chunk(msgspec.Struct, tag="chunk", array_like=True, gc=False):
    """Save what lies in the shared memory."""

    number: int
    offset: int
    length: int


class Finish(msgspec.Struct, tag="finish", array_like=True, gc=False):
    """Nothing follows: write the last pack."""


class SavedFile(msgspec.Struct, array_like=True, gc=False):
    """The outcome of one file."""

    node: bytes
    """Its JSON; empty where it could not be saved."""
    size: int
    """Bytes that were read."""
    problem: str
    """What went wrong, even if it was saved; empty where nothing did."""
    grown: bool = False
    """It was not read: by now it is too large for a worker."""


class FilesDone(msgspec.Struct, tag="files_done", array_like=True, gc=False):
    """The outcome of all files of a batch, in their order."""

    number: int
    files: list[SavedFile]
    added: Added


class ChunkDone(msgspec.Struct, tag="chunk_done", array_like=True, gc=False):
    """A chunk is in a pack, or was known."""

    number: int
    id: bytes
    added: Added


class PackDone(msgspec.Struct, tag="pack", array_like=True, gc=False):
    """A pack is ready to be saved."""

    id: bytes
    path: str
    """Empty in a dry run."""
    size: int
    blobs: list[PackedBlob]

    @classmethod
    def of(cls, pack: FinishedPack) -> PackDone:
        """From what the writer gave."""
        path, size = (str(pack.file.path), pack.file.size) if pack.file else ("", 0)
        return cls(pack.id, path, size, pack.blobs)

    def pack(self) -> FinishedPack:
        """As it was."""
        return FinishedPack(self.id, SpooledFile(Path(self.path), self.size) if self.path else None, self.blobs)


class Failed(msgspec.Struct, tag="failed", array_like=True, gc=False):
    """The worker could not go on, and has ended."""

    reason: str


class Finished(msgspec.Struct, tag="finished", array_like=True, gc=False):
    """The worker has said all, and has ended."""


Task = Files | Chunk | Finish
Answer = FilesDone | ChunkDone | PackDone | Failed | Finished

encode = msgspec.msgpack.Encoder().encode
decode_task = msgspec.msgpack.Decoder(Task).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
