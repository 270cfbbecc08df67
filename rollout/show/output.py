"""Standard output, which may go away while hosts are being worked on: a closed terminal, a reader that had enough."""

from __future__ import annotations

import os
import sys


def put(text: str) -> None:
    """Write it at once. When nobody can read it any more, nothing is written from then on: the rollout goes on."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
