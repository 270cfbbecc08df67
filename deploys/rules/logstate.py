"""What logrotate's state file knows of logs, and whether a rotation forgot any of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

DAY = 86400.0
FORGOTTEN_AFTER = 300 * DAY
"""logrotate itself forgets logs that it has not seen for a year; younger ones are to stay. In seconds."""
_LINE = re.compile(r'"((?:[^"\\]|\\.)*)" (\d+)-(\d+)-(\d+)(?:-(\d+):(\d+):(\d+))?$')


def parse_state(text: str) -> dict[str, tuple[int, ...]]:
    """By log, the local time of its last rotation: year, month, day, hour, minute, second.

    Lines that are of another form are left out. The format is logrotate's, version 2 (`"PATH" Y-M-D-h:m:s`).
    """
    found = {}
    for line in text.splitlines():
        if match := _LINE.match(line):
            found[match[1]] = tuple(int(number or 0) for number in match.groups()[1:])
    return found


def lost(before: Mapping[str, tuple[int, ...]], after: Mapping[str, tuple[int, ...]], today: str) -> list[str]:
    """The logs of `before` that `after` does not know, or of which it knows only an older rotation.

    `today` is the host's date, `2026-11-22`. What was not rotated for FORGOTTEN_AFTER may go.
    """
    year, month, day = map(int, today.split("-"))
    now = (year * 365 + month * 30 + day) * DAY
    return sorted(
        log
        for log, time in before.items()
        if (log in after and after[log] < time)
        or (log not in after and now - (time[0] * 365 + time[1] * 30 + time[2]) * DAY < FORGOTTEN_AFTER)
    )
