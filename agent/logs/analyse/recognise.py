"""Which format a log has (pure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.logs.analyse.formats import access, plain, postgresql, structured, syslog, webserver
from agent.logs.analyse.formats.entry import Entry
from agent.logs.analyse.times import Clock

SAMPLE = 200
"""Lines that tell."""
ACCESS = "access"
PLAIN = "plain"

Reader = Callable[[bytes, Clock], Entry | None]

READERS: dict[str, Reader] = {
    "json": structured.entry,
    "webserver": webserver.entry,
    "postgresql": postgresql.entry,
    "syslog": syslog.entry,
    PLAIN: plain.entry,
}
"""The most exact first."""
_ENOUGH = 0.5


def recognise(sample: Sequence[bytes], clock: Clock) -> str:
    """The name of the format that half of the lines have, `plain` where there is none."""
    lines = [line for line in sample if line.strip()][:SAMPLE]
    if not lines:
        return PLAIN
    if sum(map(access.fits, lines)) >= _ENOUGH * len(lines):
        return ACCESS
    for name, reader in READERS.items():
        if name != PLAIN and sum(reader(line, clock) is not None for line in lines) >= _ENOUGH * len(lines):
            return name
    return PLAIN


def reader_of(name: str) -> Callable[[bytes, Clock], Entry]:
    """What reads the lines of a format, and any other line that stands among them."""
    read = READERS[name]

    def entry(line: bytes, clock: Clock) -> Entry:
        return read(line, clock) or plain.entry(line, clock)

    return entry
