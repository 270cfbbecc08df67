"""What is told beside what was asked for: on standard error, where no program reads results."""

from __future__ import annotations

import sys

from kit.terminal import clean


def aside(text: str) -> None:
    """A line."""
    print(f"hostward-rollout: {clean(text)}", file=sys.stderr)


def nobody(_: str) -> None:
    """For programs, which may read both as one."""
