"""What came of one time that home kept or verified a repository."""

from __future__ import annotations

from typing import Literal

import msgspec

from backup.errors import LockedError

LOCKED = LockedError.exit_code
"""The exit code of a command whose work waits for somebody else."""

WorkKind = Literal["keep", "verify"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Its end."""

    outcome: Literal["done", "waiting", "failed"]
    """`waiting`: somebody else had the repository locked, or there is none yet, so it is tried again."""
    message: str
    """A sentence for people."""
    removed: tuple[str, ...] = ()
    """Names of snapshots."""
    kept: int = 0
    """Snapshots."""
    flagged: int = 0
    """Of those that are kept."""
    stopped: int = 0
    """Snapshots that a policy does not keep, and that stay because of an alert."""
    pruned: bool = False
    bytes_freed: int = 0
    bytes_used: int | None = None
    """What the snapshots need; None where home cannot look."""
    snapshots: int = 0
    """That were verified."""
    packs_read: int = 0
    bytes_read: int = 0
    problems: tuple[str, ...] = ()
    """The first ones that a verification found."""
