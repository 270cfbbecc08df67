"""How a continuous archive stands: what waits, what is saved, which moments can be restored. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agent.backups.wal.plan import Gap, Reach, reach
from agent.backups.wal.segment import Kind
from agent.backups.wal.spool import Spooled
from backup.select.wal import Chain


class Window(NamedTuple):
    """Moments that can be restored."""

    since: float
    """When the oldest base backup of it was done, in seconds since 1970."""
    until: float
    """To the end of the last segment that leads on from there."""
    gap: Gap | None
    """What is missing behind it."""


class Waiting(NamedTuple):
    """What is in the spool of a cluster."""

    segments: int
    bytes: int
    last: str
    """The name of the last file that PostgreSQL archived; '' where nothing waits."""
    oldest: float | None
    """Since when one waits, in seconds since 1970."""


class Standing(NamedTuple):
    """How the archive of a cluster stands."""

    chain: Chain
    reaches: list[Reach]
    """Of each base backup, the oldest first."""
    windows: list[Window]
    """The oldest first; with no gaps there is one."""
    last_saved: str
    """The name of the last segment in the repository, on the newest timeline."""


def standing(chain: Chain) -> Standing:
    """Judge what the repository has of a cluster."""
    reaches = [reach(chain, base) for base in chain.bases]
    windows: list[Window] = []
    for each in reaches:
        since = each.base.snapshot.seconds
        until = max(since, float(each.until or 0))
        if windows and since <= windows[-1].until:
            windows[-1] = Window(windows[-1].since, max(until, windows[-1].until), each.gap)
        else:
            windows.append(Window(since, until, each.gap))
    return Standing(chain, reaches, windows, chain.last_segment())


def waiting_of(files: Iterable[Spooled]) -> dict[int, Waiting]:
    """What waits, by cluster."""
    found: dict[int, list[Spooled]] = {}
    for file in files:
        if file.kind is not Kind.HISTORY:
            found.setdefault(file.system, []).append(file)
    return {
        system: Waiting(
            len(those),
            sum(file.size for file in those),
            max(those, key=lambda file: (file.arrived, file.name)).name,
            min(file.arrived for file in those),
        )
        for system, those in found.items()
    }
