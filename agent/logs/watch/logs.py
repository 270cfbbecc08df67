"""What the watcher knows of each log, and which of them want a turn (no child, no queue)."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agent.config.logs import LogOptions
from agent.logs.rules.judge import LOW_DISK_PAUSE, WORTHWHILE
from agent.logs.rules.sections import logs_of
from agent.logs.rules.sweep import free_in
from agent.logs.watch import forecast
from agent.logs.watch.forecast import Danger, Growth

AGAIN = 60.0
"""Seconds until a log is tried again that wanted a turn and was not rotated."""
PAUSE = 1.0
"""Seconds between two rotations of one log: names by date have seconds."""
DANGER_PAUSE = 10.0
"""Seconds between two rotations of one log since its disk is about to be full."""
NEAR = 60.0
"""Seconds by whose growth it is told when a log will cross its size."""


class Far(NamedTuple):
    """What is known of a file system that may keep whoever asks waiting."""

    free: int | None
    """Bytes; None where that is not known."""


class Log:
    """A log as it was seen last. Times named `ticks` are of a clock that nobody sets."""

    __slots__ = ("danger_after", "device", "far", "growth", "not_before", "path", "rule", "seen", "size", "turn")

    def __init__(self, rule: LogOptions, path: str) -> None:
        self.rule = rule
        self.path = path
        self.size = 0
        self.device = 0
        self.seen = False
        """Whether it is there."""
        self.far: Far | None = None
        """Where a look may hang: what was found by whoever looked."""
        self.growth: Growth | None = None
        self.turn: float | None = None
        """When the clock makes it due, seconds since the epoch; None: never, or not known yet."""
        self.not_before = -math.inf
        """Ticks until which it is left alone."""
        self.danger_after = -math.inf
        """The same for what its disk asks."""

    def look(self, ticks: float) -> None:
        """See how large it is."""
        self.far = None
        try:
            status = os.lstat(self.path)
        except OSError:
            self.see(None, 0, ticks)
        else:
            self.see(status.st_size if stat.S_ISREG(status.st_mode) else None, status.st_dev, ticks)

    def see(self, size: int | None, device: int, ticks: float) -> None:
        """It has this size; None: it is not there."""
        self.seen = size is not None
        self.size, self.device = size or 0, device
        if self.growth is None:
            self.growth = Growth(ticks, self.size)
        else:
            self.growth.add(ticks, self.size)

    def is_large(self) -> bool:
        """Whether it has crossed its size."""
        return self.rule.size is not None and self.size > max(self.rule.size, self.rule.min_size - 1)

    def wants_turn(self, now: float, ticks: float) -> bool:
        """Whether it is to be judged now: its size or the clock says so. Who judges may see it otherwise."""
        if not self.seen or ticks < self.not_before:
            return False
        is_time = self.turn is not None and now >= self.turn and self.size >= self.rule.min_size
        return self.is_large() or is_time

    def seconds_left(self, now: float, ticks: float) -> float:
        """Until it is rotated anyhow."""
        left = math.inf if self.turn is None else max(0.0, self.turn - now)
        rate = self.growth.rate(ticks, NEAR) if self.growth is not None else 0.0
        if self.rule.size is not None and rate > 0:
            left = min(left, max(0, self.rule.size - self.size) / rate)
        return left


class Logs:
    """All of them, by path."""

    def __init__(self) -> None:
        self.by_path: dict[str, Log] = {}

    def become(self, found: Mapping[str, LogOptions], rules: Iterable[str], ticks: float) -> list[Log]:
        """Of these rules there are these logs, and no others. Returns the new ones."""
        for path, log in list(self.by_path.items()):
            if log.rule.name in rules and (path not in found or found[path].name != log.rule.name):
                del self.by_path[path]
        new = []
        for path, rule in found.items():
            if path in self.by_path:
                self.by_path[path].rule = rule
            else:
                self.by_path[path] = log = Log(rule, path)
                new.append(log)
        return new

    def of(self, rule: str) -> list[Log]:
        """The logs of a rule."""
        return [log for log in self.by_path.values() if log.rule.name == rule]

    def wanting(self, now: float, ticks: float) -> list[Log]:
        """Those that want a turn."""
        return [log for log in self.by_path.values() if log.wants_turn(now, ticks)]

    def short_of_disk(self, now: float, ticks: float) -> list[Log]:
        """Those whose rule has a `low_disk` that their file system has fallen below; each is asked once an hour."""
        found = []
        for log in self.by_path.values():
            low = log.rule.low_disk
            if low is None or log.size < WORTHWHILE or ticks < max(log.danger_after, log.not_before):
                continue
            free = _free(log)
            if free is not None and free < low:
                log.danger_after = ticks + LOW_DISK_PAUSE
                found.append(log)
        return found

    def endangering(self, now: float, ticks: float) -> list[Danger]:
        """Those that would fill their disk before their turn."""
        by_device: dict[int, list[Log]] = {}
        for log in self.by_path.values():
            if log.seen and log.growth is not None and len(log.growth.points) > 1:
                by_device.setdefault(log.device, []).append(log)
        found: list[Danger] = []
        for logs in by_device.values():
            free = _free(logs[0])
            if free is None:
                continue
            known = [
                forecast.Log(log.path, log.size, log.growth, log.seconds_left(now, ticks))
                for log in logs
                if log.growth is not None
            ]
            found += forecast.endangering(known, free, ticks)
        return [
            danger
            for danger in found
            if ticks >= max(self.by_path[danger.path].danger_after, self.by_path[danger.path].not_before)
        ]


def expand(rules: Sequence[LogOptions]) -> dict[str, LogOptions]:
    """The logs of all rules; the first rule that means one has it."""
    found: dict[str, LogOptions] = {}
    for rule in rules:
        if rule.enabled:
            for path in logs_of(rule):
                found.setdefault(path, rule)
    return found


def _free(log: Log) -> int | None:
    if log.far is not None:
        return log.far.free
    return free_beside(log.path)


def free_beside(path: str) -> int | None:
    """Bytes that are free where a log is; None where nobody knows."""
    try:
        return free_in(path.rpartition("/")[0] or "/")
    except OSError:
        return None
