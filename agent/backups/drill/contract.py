"""What the parts of a drill give and raise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kit.errors import HostwardError

NAMED = 20
"""Differences that are told one by one; of more only the number is told."""

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much: bytes where the name is `data`, else things."""


class DrillError(HostwardError):
    """The drill cannot be done, or was not let to its end; the message says why."""


@dataclass(slots=True)
class Restored:
    """What came back, and how it compares."""

    files: int = 0
    """That were restored and compared."""
    bytes: int = 0
    total_files: int = 0
    """Of the whole snapshot."""
    total_bytes: int = 0
    live_files: int = 0
    """Of `files`, those that were compared with files of this host too."""
    differing: int = 0
    """Files that are not what the snapshot says, or not what is still unchanged on the host."""
    differences: list[str] = field(default_factory=list)
    """What is wrong with the first of them."""
    seconds: float = 0.0
    """Until all of it is back, from the drill's begin on."""
    estimated: bool = False
    """Whether `seconds` is worked out from a sample."""
    until: float | None = None
    """The time up to which it came back, where that is not the snapshot's, in seconds since the epoch."""

    def differs(self, text: str) -> None:
        """One more file differs."""
        self.differing += 1
        if len(self.differences) < NAMED:
            self.differences.append(text)
