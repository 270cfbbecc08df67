"""Commands as lines that fit on a page and that a shell takes as they stand (pure)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

WIDTH = 86
"""Columns."""


def command(*words: str, variable: Iterable[str] = ()) -> list[str]:
    """One command, quoted; what is too long goes on in the next line, behind a backslash.

    Words that are among `variable` stand as they are: `"$TARGET"`, a pipe.
    """
    as_they_are = set(variable)
    return wrapped([word if word in as_they_are else shlex.quote(word) for word in words])


def wrapped(words: Iterable[str]) -> list[str]:
    """Quoted words as lines."""
    lines: list[str] = []
    line = ""
    for word in words:
        longer = f"{line} {word}" if line else word
        if line and len(longer) > WIDTH - 2:
            lines.append(line + " \\")
            longer = "    " + word
        line = longer
    return [*lines, line]
