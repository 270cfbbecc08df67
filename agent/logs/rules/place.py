"""Where the state of rules for logs is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from agent.paths import state_folder

ROOTS: Final = Path("/var/lib/hostward-logs")
STATE: Final = "status"
"""When each log was last rotated, in logrotate's format 2."""


def folder(given: Path | None) -> Path:
    """`logs` in --state-dir; else root's own folder, or `logs` in that of who runs this.

    It is not in /var/lib/hostward, which belongs to the agent's user: whoever has a folder can put another one in its
    place, and root would follow.
    """
    if given is None and os.geteuid() == 0:
        return ROOTS
    return state_folder(given) / "logs"
