"""Sizes and shares as restic's options have them."""

from __future__ import annotations

import math
import re

from kit.errors import UsageError

_SIZE = re.compile(r"(\d+)([bkmgt]?)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str, option: str) -> int:
    """Bytes: a whole number with one of the suffixes k, m, g, t in either case, 1k being 1024. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{option}={text}: expected a size such as 500M or 2G")
    return int(found[1]) * _UNITS[found[2].lower()]


def parse_percent(text: str, option: str) -> float:
    """The number before a `%`. Raises UsageError for what is none or negative."""
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not (math.isfinite(percent) and percent >= 0):
        raise UsageError(f"{option}={text}: expected a percentage such as 5%")
    return percent
