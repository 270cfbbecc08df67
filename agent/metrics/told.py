"""What the daemon tells of itself: made by its loop between two turns, read by the thread that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.paths import System
from wire.report import CheckState, Reading


@dataclass(frozen=True, slots=True)
class Told:
    """All of one moment. Nothing in it changes afterwards: the loop makes another one."""

    system: System
    folder: Path
    """The state folder: what is there of jobs and reports is read at the scrape."""
    version: str
    checks: Mapping[str, CheckState] = field(default_factory=dict)
    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    """By check, those of its last run."""
    textfiles: Sequence[str] = ()
    """Folders of `*.prom` files, whose series are shown as they are."""
