"""What a request of restic's REST protocol asks for: its path, and the part of a file. Pure.

Source: restic, doc/100_references.rst, "REST Backend".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from backup.stores.contract import FileKind

ROOT = "/backup/"
VERSION_1 = "application/vnd.x.restic.rest.v1"
VERSION_2 = "application/vnd.x.restic.rest.v2"
"""What a client that wants sizes in lists accepts."""

_PATH = re.compile(
    rb"/backup/([A-Za-z0-9._~!$&'()*+,;=:@%-]{1,800})/(?:config|(keys|locks|snapshots|index|data)/([0-9a-f]{64})?)?"
)
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")


@dataclass(frozen=True, slots=True)
class Target:
    """A repository, all files of a kind, or one file."""

    repository: str
    """As the path has it: never part of another path."""
    kind: FileKind | None = None
    name: str | None = None


def parse(path: bytes) -> Target | None:
    """What the path of the request line names; None for anything that is not exactly a path of the protocol."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    try:
        repository = unquote_to_bytes(found[1]).decode()
    except UnicodeDecodeError:
        return None
    if found[2] is not None:
        return Target(repository, FileKind(found[2].decode()), None if found[3] is None else found[3].decode())
    if path.endswith(b"/"):
        return Target(repository)
    return Target(repository, FileKind.CONFIG, "config")


@dataclass(frozen=True, slots=True)
class Part:
    """What of a file is asked for."""

    offset: int
    length: int
    whole: bool
    """Whether no part was asked for, so that the answer is 200 and not 206."""


def part_of(header: str | None, size: int) -> Part | None:
    """What a Range header asks for of a file of `size` bytes; None: no byte that the file has.

    What is no single range of bytes is as if it were not there (RFC 9110, section 14.2).
    """
    found = None if header is None else _RANGE.fullmatch(header.strip())
    if found is None:
        return Part(0, size, whole=True)
    if found[3] is not None:
        length = min(int(found[3]), size)
        return Part(size - length, length, whole=False) if length else None
    first = int(found[1])
    last = size - 1
    if found[2] is not None:
        if int(found[2]) < first:
            return Part(0, size, whole=True)
        last = min(int(found[2]), last)
    return Part(first, last - first + 1, whole=False) if first < size else None
