"""`hostward-rollout`: a deploy in waves, and what can be done with one that is under way."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (kit.errors says which there are)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--version"], ["-V"]):
        print(f"hostward-rollout {__version__}")
        return 0
    from rollout.cli.dispatch import dispatch  # argparse alone costs as much as starting Python

    return dispatch(words)
