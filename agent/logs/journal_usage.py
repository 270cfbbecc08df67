"""What the journal of each unit takes of the disk, as far as anybody can tell.

journald keeps the entries of all units in the same files, each text once however many entries have it, and does not
reckon by unit. So this is an estimate: each entry counts with the bytes of its message and ENTRY for all that the
journal keeps beside it, and each unit has the share of the files' size that its entries have of all.

Entries are read once: the next look goes on where the last one ended, and days that the journal has dropped are
dropped here too. Memory is bounded by MOST_UNITS and by the days that the journal holds.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import Any

import msgspec

from agent.logs.journal import JournalError, command, printed

ENTRY = 512
"""Bytes of an entry beside its message: the entry itself, its places in the indexes, and its times, which no other
entry shares."""
TOO_LONG = 4096
"""Bytes with which a message counts that journalctl does not print since it is as long or longer."""
MOST_UNITS = 500
"""That are told apart in a day; entries of all others are those of OTHER."""
OTHER = "(others)"
KERNEL = "(kernel)"
FOLDERS = ("/var/log/journal", "/run/log/journal")
NO_JOURNAL = f"there is no journal on this host, neither in {FOLDERS[0]} nor in {FOLDERS[1]}"
DAY = 86_400_000_000
"""Microseconds."""

_SESSION = re.compile(r"session-c?[0-9]+\.scope")
_FIELDS = ("_SYSTEMD_UNIT", "_TRANSPORT", "SYSLOG_IDENTIFIER")


class _Entry(msgspec.Struct):
    cursor: str = msgspec.field(name="__CURSOR")
    time: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    message: Any = msgspec.field(name="MESSAGE", default=None)
    unit: Any = msgspec.field(name="_SYSTEMD_UNIT", default=None)
    transport: Any = msgspec.field(name="_TRANSPORT", default=None)
    identifier: Any = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)


class Weights(msgspec.Struct):
    """How much the entries weigh that were read so far."""

    cursor: str = ""
    """Of the last one."""
    days: dict[int, dict[str, int]] = {}
    """Day since the epoch to unit to weight."""

    def by_unit(self) -> dict[str, int]:
        """Of all days."""
        total: dict[str, int] = {}
        for units in self.days.values():
            for unit, weight in units.items():
                total[unit] = total.get(unit, 0) + weight
        return total


_ENTRIES = msgspec.json.Decoder(_Entry)


def read_on(weights: Weights, source: Sequence[str], is_over: Callable[[], bool]) -> bool:
    """Add the entries that came since; `source` are journalctl's options for where the journal is.

    True where all of them were read before `is_over` said so. Raises JournalError.
    """
    try:
        with closing(printed(command(source, *_FIELDS), is_over)) as lines:
            oldest = next((int(_decode(line).time) // DAY for line in lines), None)
        # What was vacuumed is no more; where nothing is left nothing was read.
        weights.days = {day: units for day, units in weights.days.items() if oldest is not None and day >= oldest}
        if oldest is None:
            weights.cursor = ""
            return True
        after = [f"--after-cursor={weights.cursor}"] if weights.cursor else []
        with closing(printed(command([*source, *after], *_FIELDS), is_over)) as lines:
            _add(weights, lines)
    except TimeoutError:
        return False
    return True


def _add(weights: Weights, lines: Iterable[bytes]) -> None:
    for line in lines:
        entry = _decode(line)
        units = weights.days.setdefault(int(entry.time) // DAY, {})
        unit = unit_of(entry.unit, entry.transport, entry.identifier)
        if unit not in units and len(units) >= MOST_UNITS:
            unit = OTHER
        units[unit] = units.get(unit, 0) + weight(entry.message)
        weights.cursor = entry.cursor


def unit_of(unit: object, transport: object, identifier: object) -> str:
    """Under which name an entry counts: its unit, else the kernel or who wrote it. All sessions are one."""
    found = _text(unit)
    if found:
        return "session.scope" if _SESSION.fullmatch(found) else found
    if _text(transport) == "kernel":
        return KERNEL
    return f"({_text(identifier)})" if _text(identifier) else OTHER


def weight(message: object) -> int:
    """What an entry counts for."""
    if isinstance(message, str):
        return ENTRY + len(message)
    if isinstance(message, list):  # bytes that are no text, or several messages
        return ENTRY + sum(len(part) if isinstance(part, str) else 1 for part in message)
    return ENTRY + TOO_LONG


def shares(weights: dict[str, int], size: int) -> dict[str, int]:
    """Bytes of `size` by unit, the most first."""
    total = sum(weights.values())
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    return {unit: size * part // total for unit, part in ranked} if total else {}


def size_of(folders: Iterable[str] = FOLDERS) -> int:
    """Bytes that the journal's files take on the disk, those of namespaces included."""
    total = 0
    for folder in folders:
        for path, _, names in os.walk(folder):
            for name in names:
                if name.endswith((".journal", ".journal~")):
                    with suppress(OSError):  # rotated away just now
                        status = os.lstat(os.path.join(path, name))  # noqa: PTH118 - as os.walk has them
                        total += status.st_blocks * 512 * stat.S_ISREG(status.st_mode)
    return total


def _decode(line: bytes) -> _Entry:
    try:
        entry = _ENTRIES.decode(line)
        int(entry.time)
    except (msgspec.MsgspecError, ValueError) as error:
        raise JournalError(f"journalctl printed what is no entry: {error}") from None
    return entry


def _text(value: object) -> str:
    """A field's value; of several the first."""
    if isinstance(value, list):
        value = next((part for part in value if isinstance(part, str)), "")
    return value[:256] if isinstance(value, str) else ""
