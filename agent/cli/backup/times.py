"""Times on the command line."""

from __future__ import annotations

from datetime import datetime

from backup.errors import DamagedError
from backup.format.gotime import Moment, from_datetime, parse_moment
from kit.errors import UsageError
from kit.zones import zone_of

_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def parse_time(text: str) -> Moment:
    """`2026-11-22`, with ` 14:30` or ` 14:30:05`, on this host's clock; or RFC 3339. Raises UsageError."""
    try:
        return parse_moment(text)
    except DamagedError:
        pass
    for form in _FORMS:
        try:
            return from_datetime(datetime.strptime(text, form).replace(tzinfo=zone_of("")))
        except (ValueError, OverflowError):
            continue
    raise UsageError(f'"{text}" is no time: expected one as "2026-11-22 14:30:05" or "2026-11-22T14:30:05+01:00"')
