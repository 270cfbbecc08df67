"""The machine's uptime with the time in which it slept: what its processes can compare, whatever clock is set."""

from __future__ import annotations

import time


def uptime() -> float:
    """Seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
