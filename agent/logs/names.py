"""Which files of a folder are a log and its rotated pieces: pure, by their names.

Names are bytes, as the kernel has them. Rotated names are those of logrotate (numbers, `dateext`, `extension`), of
Python's and Java's handlers, and of hands: `app.log.1`, `app.log-20260131`, `app-2026-01-31.log`, `app.1.log`,
`app.log.old`.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

COMPRESSED = (b".gz", b".xz", b".zst", b".bz2", b".lz4", b".Z")

_ROTATED = re.compile(
    rb"(?P<stem>.+?)[.-](?:[0-9][0-9_T:.+-]*|old|bak)(?P<extension>\.[A-Za-z][A-Za-z0-9]*)?", re.DOTALL
)


def is_compressed(name: bytes) -> bool:
    """Whether the name is one of a compressed file."""
    return name.endswith(COMPRESSED)


def base(name: bytes) -> bytes | None:
    """The log of which a file of this name would be a rotated piece, None where the name does not look rotated."""
    match = _ROTATED.fullmatch(_uncompressed(name))
    return match["stem"] + (match["extension"] or b"") if match else None


def matches(name: bytes, pattern: bytes) -> bool:
    """As a shell does it: a leading dot must be written."""
    return fnmatchcase(name, pattern) and (not name.startswith(b".") or pattern.startswith(b"."))


def family(name: bytes, pattern: bytes) -> bytes | None:
    """The log that a file is, or is a rotated piece of, where `pattern` means that log; else None."""
    whole = base(name) or _uncompressed(name)
    if matches(whole, pattern):
        return whole
    return name if matches(name, pattern) and not is_compressed(name) else None


def _uncompressed(name: bytes) -> bytes:
    return name.rpartition(b".")[0] if is_compressed(name) else name
