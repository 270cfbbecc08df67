"""Where a job's watcher answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SOCKET = "socket"
"""Its name in the job's folder."""
_FOLDER = "hostward-backup"
_VARIABLE = "HOSTWARD_RUN_DIR"


def folder_of(job: str, environment: Mapping[str, str]) -> Path:
    """HOSTWARD_RUN_DIR, else /run for root and $XDG_RUNTIME_DIR for others, and what is there for the job."""
    named = environment.get(_VARIABLE)
    if not named and os.geteuid() != 0:
        named = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return Path(named or "/run", _FOLDER, job)
