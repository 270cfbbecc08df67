"""Files as PostgreSQL archives them, made up."""

from __future__ import annotations

import struct
from pathlib import Path

SIZE = 2**20
SYSTEM = 7433201944213432321


def segment(path: Path, *, system: int = SYSTEM, timeline: int = 1, size: int = SIZE, filling: bytes = b"x") -> Path:
    """A segment with a long header."""
    header = struct.pack("=HHIQI4xQII", 0xD110, 2, timeline, 0, 0, system, size, 8192)
    path.write_bytes(header + filling * (size - len(header)))
    return path
