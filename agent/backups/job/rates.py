"""The limits of bandwidth of a job at any time of the day, for backup.stores.limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from agent.config.backups import BackupOptions
from agent.config.bandwidth import window_at
from kit.zones import zone_of

Rate = Callable[[], float | None]


def rate_of(
    job: BackupOptions, way: Literal["upload", "download"], *, clock: Callable[[], float] = time.time
) -> Rate | None:
    """What the limit is now, in KiB a second, None for none; None instead of the function where there never is any.

    A part of the day says it alone: without a rate of its own there is no limit in it.
    """
    usual = job.limit_upload if way == "upload" else job.limit_download
    if usual is None and not job.bandwidth:
        return None
    zone = zone_of(job.timezone)

    def now() -> float | None:
        window = window_at(job.bandwidth, datetime.fromtimestamp(clock(), UTC).astimezone(zone))
        limit = usual if window is None else getattr(window, way)
        return None if limit is None else limit / 1024

    return now
