"""Timeline history files: where a timeline, and those before it, began. Pure.

A line has the number of the timeline that was left, the place in the WAL, and a reason, with tabs between them; the
last is the one that was left directly (PostgreSQL, src/backend/access/transam/timeline.c).
"""

from __future__ import annotations

from backup.select.wal_names import Branch, parse_lsn


def parse_history(name: str, content: bytes, system: int) -> Branch:
    """What the file `name` (`00000002.history`) says. Raises ValueError with what was expected."""
    lines = [line.split("\t") for line in content.decode(errors="replace").splitlines()]
    entries = [fields for fields in lines if len(fields) >= 2 and not fields[0].lstrip().startswith("#")]
    if not entries or not entries[-1][0].strip().isdigit():
        raise ValueError("lines with a timeline and a place in the WAL")
    parent, place = entries[-1][:2]
    return Branch(system, int(name[:8], 16), int(parent), parse_lsn(place.strip()))
