"""Maintenance windows are opened, changed and closed here, whoever asks, each time with a word in the audit log."""

from __future__ import annotations

import secrets

import msgspec
from sqlalchemy import Connection

from collector import audit
from collector.rules.windows import in_force
from collector.store import windows
from kit.units import format_duration
from wire.window import Window, WindowRequest

NAMED = 5
"""Hosts that the audit log names."""


def open_window(connection: Connection, asked: WindowRequest, *, actor: str, address: str, now: float) -> Window:
    """Open one, from now on."""
    window = Window(
        id=secrets.token_hex(6),
        hosts=list(dict.fromkeys(asked.hosts)),
        reason=asked.reason,
        opened=now,
        until=now + asked.duration,
        actor=actor,
        rollout=asked.rollout,
    )
    windows.add(connection, window)
    _note(connection, "window.opened", window, _detail(window, asked.duration), actor, address, now)
    return window


def change_window(
    connection: Connection, id: str, asked: WindowRequest, *, actor: str, address: str, now: float
) -> Window | None:
    """Have one end at another time, and be for these hosts; None where none of this id is in force.

    That it goes on for longer is no news, and is not written down.
    """
    before = windows.find(connection, id)
    if before is None or not in_force(before, now):
        return None
    hosts = list(dict.fromkeys(asked.hosts))
    window = msgspec.structs.replace(before, hosts=hosts, reason=asked.reason, until=now + asked.duration)
    windows.save(connection, window)
    if set(window.hosts) != set(before.hosts) or window.reason != before.reason:
        _note(connection, "window.changed", window, _detail(window, asked.duration), actor, address, now)
    return window


def close_window(connection: Connection, id: str, *, actor: str, address: str, now: float) -> Window | None:
    """Close one; None where none of this id is in force."""
    window = windows.find(connection, id)
    if window is None or not in_force(window, now):
        return None
    closed = msgspec.structs.replace(window, closed=now)
    windows.save(connection, closed)
    _note(connection, "window.closed", closed, window.reason, actor, address, now)
    return closed


def _note(
    connection: Connection, act: audit.Act, window: Window, detail: str, actor: str, address: str, now: float
) -> None:
    subject = f"window:{window.id}"
    audit.append(connection, act, actor=actor, address=address, subject=subject, detail=detail, now=now)


def _detail(window: Window, duration: float) -> str:
    more = f" and {len(window.hosts) - NAMED} more" if len(window.hosts) > NAMED else ""
    return f"{', '.join(window.hosts[:NAMED])}{more}, for {format_duration(round(duration))}: {window.reason}"
