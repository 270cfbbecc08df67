"""How far work is: speed, time left, and the line that shows them. Pure: the clock comes in as an argument."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kit.units import format_size

SMOOTHING = 5.0
"""Seconds: what was longer ago than this counts for less than a third in the speed that is shown."""
_BAR = (10, 40)
"""Columns of the bar, least and most."""


class Speed:
    """How fast something grows, smoothed: an exponentially weighted mean over time."""

    def __init__(self, now: float, done: float = 0.0) -> None:
        """`now` in seconds, of any clock that never goes back."""
        self._began = self._last = now
        self._done = done
        self._rate = 0.0
        self._weight = 0.0

    def update(self, done: float, now: float) -> None:
        """So much is done in all."""
        passed = now - self._last
        if passed <= 0:
            return
        share = 1 - math.exp(-passed / SMOOTHING)
        self._rate += share * ((done - self._done) / passed - self._rate)
        # At the beginning the mean is of what there was, not of the zero before it.
        self._weight += share * (1 - self._weight)
        self._done, self._last = done, now

    @property
    def rate(self) -> float:
        """A second; 0 while nothing is known."""
        return max(self._rate / self._weight, 0.0) if self._weight else 0.0

    @property
    def elapsed(self) -> float:
        """Seconds from the beginning to the last update."""
        return self._last - self._began

    def left(self, total: float) -> float | None:
        """Seconds until `total` is done at this speed; None while that cannot be told."""
        rest = max(total - self._done, 0.0)
        return rest / self.rate if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class Status:
    """What is shown of some work at one moment."""

    done: int
    """Bytes."""
    total: int | None
    """Bytes; None while nobody knows."""
    count: str = ""
    """`12,345 files`"""
    item: str = ""
    """What is being worked on; shown where there is room."""
    is_bytes: bool = True
    """Otherwise `done` and `total` count things."""


def progress_line(status: Status, speed: Speed, width: int) -> str:
    """`0:12  45 % [====>     ]  1.2GiB of 2.6GiB, 98MiB/s, 0:14 left, 12,345 files`, of at most `width` columns.

    What does not fit is left out from the end; the bar only shows where there is room for the rest.
    """
    parts = []
    size = format_size if status.is_bytes else lambda count: f"{count:,.0f}"
    if status.total:
        parts.append(f"{size(status.done)} of {size(status.total)}")
    elif status.done or status.is_bytes:
        parts.append(size(status.done))
    if speed.rate >= 1:
        parts.append(f"{size(speed.rate)}/s")
    if status.total and (left := speed.left(status.total)) is not None:
        parts.append(f"{clock(left)} left")
    if status.count:
        parts.append(status.count)
    start = clock(speed.elapsed)
    if status.total:
        share = min(max(status.done / status.total, 0.0), 1.0)
        start += f" {math.floor(100 * share):3} %"
        room = width - len(start) - len(", ".join(parts)) - 5
        if room >= _BAR[0]:
            start += f" [{bar(share, min(room, _BAR[1]))}]"
    line = f"{start}  {', '.join(parts)}"
    if status.item and width - len(line) > 20:
        line += f"  {status.item}"
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def bar(share: float, columns: int) -> str:
    """`====>     `, of a share from 0 to 1."""
    filled = min(int(share * columns), columns)
    head = ">" if 0 < filled < columns else ""
    return ("=" * (filled - len(head)) + head).ljust(columns)


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`; more than 99 hours are `99:59:59`."""
    whole = min(int(seconds), 99 * 3600 + 59 * 60 + 59)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
