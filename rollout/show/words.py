"""Events in words, for lines and for what scrolls above the table."""

from __future__ import annotations

import time

from kit.terminal import clean, paint
from rollout.events import Ended, Event, GateBegan, HostBegan, HostEnded, HostVersions, Resumed, WaveBegan
from rollout.rules.state import State

OUTCOMES = {"left_alone": "nothing was changed", "rolled_back": "rolled back", "broken": "left as it is"}
COLOURS = {"done": "ok", "failed": "critical", "unreachable": "critical", "running": "warning"}
NAMED = 5
"""Packages that a line names."""


def told(event: Event, state: State) -> str | None:
    """A line without the time; None for what needs no line of its own."""
    match event:
        case Resumed(who=who):
            return f"resumed by {who}"
        case WaveBegan(wave=wave):
            hosts = state.waves[wave].hosts
            return f"{state.waves[wave].name}: {count(len(hosts), 'host')}"
        case HostBegan(host=host):
            return f"{host}: connected"
        case HostVersions(host=host, before=before, after=after):
            moved = [name for name in sorted({**before, **after}) if before.get(name) != after.get(name)]
            named = [f"{name} {before.get(name) or 'none'} to {after.get(name) or 'none'}" for name in moved[:NAMED]]
            more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
            return f"{host}: {clean(', '.join(named))}{more}" if moved else None
        case HostEnded(host=host):
            return f"{host}: {ended(event)}"
        case GateBegan(wave=wave):
            return f"{state.waves[wave].name}: looking whether its hosts are well"
        case Ended(state=how, message=message):
            return f"{paint(how, COLOURS.get(how, 'warning'))}" + (f": {clean(message)}" if message else "")
    return None


def ended(event: HostEnded) -> str:
    """How a host ended."""
    if event.state == "done":
        return paint(f"done, {count(event.changed, 'change')}" if event.changed else "done, no change", "ok")
    outcome = f" ({OUTCOMES[event.outcome]})" if event.outcome else ""
    return f"{paint(event.state, 'critical')}: {clean(event.message)}{outcome}"


def count(number: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def clock() -> str:
    """The time of day, as lines begin."""
    return time.strftime("%H:%M:%S")
