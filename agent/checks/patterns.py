"""Patterns as options: regular expressions, and names as in file names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase


def check_pattern(option: str, pattern: str) -> None:
    """Raises ValueError, naming the option, where `pattern` is no regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{option} is not a regular expression: {error}") from None


def is_chosen(name: str, patterns: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether one of `patterns` matches, and no pattern of `exclude` does; a name given in full is always meant."""
    if name in patterns:
        return True
    return any(fnmatchcase(name, p) for p in patterns) and not any(fnmatchcase(name, p) for p in exclude)


def named(patterns: Sequence[str]) -> set[str]:
    """Those of `patterns` that are names: what they mean must be there."""
    return {pattern for pattern in patterns if not set(pattern) & set("*?[")}
