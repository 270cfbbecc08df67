"""How hard blobs are compressed, and how long they may be (format/codec.py does it)."""

from __future__ import annotations

from enum import StrEnum

MAX_BLOB_LENGTH = 1 << 30
"""Bytes of the longest blob that is read: restic's data blobs end at 8 MiB; a tree of two million files fits."""
MAX_FILE_LENGTH = 1 << 28
"""Bytes of the longest index, snapshot or lock that is read, decompressed. restic ends an index at some 8 MiB."""


class Compression(StrEnum):
    """How hard to try. OFF leaves data as it is; trees, indexes and snapshots are compressed all the same."""

    AUTO = "auto"
    OFF = "off"
    MAX = "max"

    @property
    def level(self) -> int:
        """zstd's level, for what compresses well."""
        return 15 if self is Compression.MAX else 3

    @property
    def quick_level(self) -> int:
        """zstd's level for what compresses little: half as much again in speed for half a percent in size."""
        return 15 if self is Compression.MAX else 2
