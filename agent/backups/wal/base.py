"""What a base backup says of itself: PostgreSQL's backup_manifest, and the file base.json beside the data. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Self

import msgspec

from backup.select.wal_names import Base, lsn, parse_lsn
from kit.errors import HostwardError

DATA = "data"
TABLESPACES = "tablespaces"
FILE = "base.json"


_Oid = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,10}\Z")]
"""A tablespace's. It becomes the name of a folder and of a link, so it is nothing else."""
_Folder = Annotated[str, msgspec.Meta(pattern=r"\A/[^\0]*\Z", max_length=4096)]
_Version = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,4}", max_length=200)]


class ManifestError(HostwardError):
    """A file that does not say what it should; the message says which."""


class BaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """base.json: where a base backup is from, and where its tablespaces were."""

    system: int
    """The cluster's system identifier."""
    timeline: int
    start: str
    stop: str
    """Places in the WAL."""
    next_xid: int
    taken: float
    """When it was done, by the server's clock, in seconds since 1970."""
    version: _Version
    """Of the server."""
    tablespaces: dict[_Oid, _Folder]
    """OID to the folder on the server."""
    format: int = 1

    @classmethod
    def of(cls, base: Base, *, version: str, taken: float, tablespaces: dict[str, str]) -> Self:
        return cls(
            system=base.system,
            timeline=base.timeline,
            start=lsn(base.start),
            stop=lsn(base.stop),
            next_xid=base.next_xid,
            taken=taken,
            version=version,
            tablespaces=tablespaces,
        )

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Raises ManifestError."""
        try:
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ManifestError(f"{FILE}: {error}") from None

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def major(self) -> str:
        """The server's major version."""
        return re.split(r"[^0-9]", self.version, maxsplit=1)[0]


class _Range(msgspec.Struct, rename={"timeline": "Timeline", "start": "Start-LSN", "end": "End-LSN"}):
    timeline: int
    start: str
    end: str


class _Manifest(msgspec.Struct, rename={"ranges": "WAL-Ranges"}):
    ranges: list[_Range]


def read_ranges(manifest: bytes) -> tuple[int, int, int]:
    """(timeline, first place in the WAL, last) that a base backup needs. Raises ManifestError."""
    try:
        ranges = msgspec.json.decode(manifest, type=_Manifest).ranges
        if len(ranges) != 1:
            raise ManifestError(f"backup_manifest: expected WAL of one timeline, found {len(ranges)}")
        return ranges[0].timeline, parse_lsn(ranges[0].start), parse_lsn(ranges[0].end)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ManifestError(f"backup_manifest: {error}") from None
