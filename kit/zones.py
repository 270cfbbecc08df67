"""The time zones that this host has rules for."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kit.options.wrong import OptionError

LOCAL_ZONE = Path("/etc/localtime")


def zone_of(name: str) -> tzinfo:
    """The zone with this IANA name; of "", the host's own. Raises OptionError, a ValueError that says what was
    expected."""
    if not name:
        return _local()
    if name == "UTC":
        return UTC  # There are hosts without a database of time zones.
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f'expected the name of a zone that this host knows, such as "Europe/Berlin", found "{name}"'
        raise OptionError("timezone", text) from None


def _local() -> tzinfo:
    """TZ where it names a zone, else /etc/localtime; UTC where that is not set."""
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(os.environ.get("TZ", "").removeprefix(":"))
    with suppress(ValueError, OSError), LOCAL_ZONE.open("rb") as file:
        return ZoneInfo.from_file(file)
    return UTC
