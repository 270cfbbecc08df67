"""Regular expressions as options."""

from __future__ import annotations

import re


def check_pattern(option: str, pattern: str) -> None:
    """Raises ValueError, naming the option, where `pattern` is no regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{option} is not a regular expression: {error}") from None
