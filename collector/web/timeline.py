"""What happened on a host, as one list: the changes that home saw and the events that the host told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.api.shapes import HostState, StateChange
from wire.report import Event

LENGTH = 60
"""Entries shown."""
SAME = 30.0
"""Seconds within which an event and a change that say the same are one."""
SKEWED = 2.0
"""Seconds by which a host's clock is off before it is worth saying."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    time: float
    """Seconds since the epoch by home's clock."""
    state: HostState
    subject: str
    change: str
    """`ok → warning`, or ''."""
    message: str


def ahead_of(clock_offset: float) -> float:
    """Seconds to take from a host's times. A small offset is mostly the way that reports travel: it is none."""
    return clock_offset if abs(clock_offset) >= SKEWED else 0.0


def timeline(changes: Sequence[StateChange], events: Sequence[Event], clock_offset: float) -> list[Entry]:
    """The newest first, bounded. `clock_offset` is how far the host's clock, which events carry, is ahead."""
    entries = [
        Entry(
            time=change.time,
            state=change.after,
            subject=change.check or "Host",
            change=f"{change.before} → {change.after}" if change.before else f"→ {change.after}",
            message=change.message,
        )
        for change in changes
    ]
    for event in events:
        time = event.time - clock_offset
        if event.kind == "check.changed" and _is_among(event, time, changes):
            continue
        subject = event.kind.replace(".", " ").replace("_", " ").capitalize()
        if event.kind == "check.changed":
            subject = event.check
        entries.append(Entry(time=time, state=event.state, subject=subject, change="", message=event.message))
    return sorted(entries, key=lambda entry: entry.time, reverse=True)[:LENGTH]


def _is_among(event: Event, time: float, changes: Sequence[StateChange]) -> bool:
    return any(
        change.check == event.check and change.after == event.state and abs(change.time - time) < SAME
        for change in changes
    )
