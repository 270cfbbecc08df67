"""What runs on a timetable, whatever it is: jobs, backups, drills. Each at its time, and none is lost."""

from __future__ import annotations

import logging
import math
import sched
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from agent.daemon.ledger import Ledger
from agent.state import State
from agent.timetable import Schedule, missed, next_due

log = logging.getLogger(__name__)

SEEN = "seen:"
"""Key of the time when something was first configured: before it no run was missed."""
WAITING = "waiting:"
"""Key of the time since when a run waits for another to end: it is due still when the agent starts again."""

LATE = 60.0
"""Seconds after its time up to which a run is on time; later it is one to catch up on, or to leave out."""


class Timed(ABC):
    """Something that runs on a timetable, as one version of the configuration has it."""

    def __init__(self, key: str, schedule: Schedule, *, places: frozenset[str] = frozenset()) -> None:
        """`key` is its own among all kinds: `dump` for a job, `backup:shop`, `drill:shop`; jitter goes by it too.
        `schedule` is all that is configured of it.

        Of those that have one of their `places` in common one runs at a time: the others wait, in the order in which
        they became due. Without places nobody waits, and what is due while it still runs is skipped.
        """
        self.key = key
        self.schedule = schedule
        self.places = places

    def is_like(self, other: Timed) -> bool:
        """Whether nothing about it is another."""
        return (self.schedule, self.places) == (other.schedule, other.places)

    @property
    @abstractmethod
    def last(self) -> float:
        """When its last run began, by the timetable or by hand, in seconds since the epoch; 0.0 for never."""

    @abstractmethod
    def start(self, now: float, on_end: Callable[[], None]) -> bool:
        """Begin a run, which ends in `on_end`, called once and not from within this.

        False while the one before has not ended, or where none can be begun now: of what has places it is tried again
        when another run ends, and by `Timetable.look`.
        """

    def skip(self, now: float) -> None:  # noqa: B027 - most have nothing to say
        """It was due while the run before had not ended."""


class Timetable:
    """Starts what is due. Wall-clock times are worked out again when somebody sets the clock: `replan`."""

    def __init__(
        self,
        scheduler: sched.scheduler,
        ledger: Ledger,
        state: State,
        *,
        host: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scheduler = scheduler
        self._ledger = ledger
        self._host = host
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._seen = moments(state, SEEN)
        self._before = moments(state, WAITING)
        """What waited when the agent ended."""
        self._waiting: dict[str, Timed] = {}
        """By key, the longest first."""
        self._running: dict[str, frozenset[str]] = {}
        """The places of what runs, by key."""

    def replace(self, wanted: Mapping[str, Timed]) -> None:
        """These, by their keys, are what runs from now on. What is as it was keeps its due time; a run that has begun
        goes on, and one that waits is forgotten only where it is no longer wanted.
        """
        for key in self._entries.keys() - wanted.keys():
            self._cancel(self._entries.pop(key))
        for key in self._waiting.keys() - wanted.keys():
            self._forget_waiting(key)
        for key in self._seen.keys() - wanted.keys():
            del self._seen[key]
            self._ledger.put(SEEN + key, None)
        for key in self._before.keys() - wanted.keys():
            self._ledger.put(WAITING + key, None)
        now = self._clock()
        for key, timed in wanted.items():
            before = self._entries.get(key)
            if before is not None and timed.is_like(before.timed):
                continue
            if before is not None:
                self._cancel(before)
            self._see(key, now)
            if key in self._waiting:
                self._waiting[key] = timed
            entry = self._entries[key] = _Entry(timed)
            if before is None and key in self._before:
                log.info("%s: it waited for another run when the agent ended, and runs now", key)
                self._start(entry, now)
            elif before is None and timed.schedule.catch_up and self._is_missed(timed, now):
                log.info("%s: catches up on a run that was due while the agent was off", key)
                self._start(entry, now)
            self._plan(entry)
        self._before.clear()

    def replan(self) -> None:
        """Somebody has set the clock: what is due now, and what when?"""
        for entry in self._entries.values():
            self._see(entry.timed.key, self._clock())
            self._cancel(entry)
            self._due(entry)

    def look(self) -> None:
        """Start what waits and may run now: what kept it waiting may be no run of the timetable."""
        self._start_waiting()

    def begin_anew(self) -> None:
        """The state is a new one, which knows nothing of what was kept."""
        for key, seen in self._seen.items():
            self._ledger.put(SEEN + key, str(seen))
        for key in self._waiting:
            self._ledger.put(WAITING + key, str(self._clock()))

    def due(self, key: str) -> float | None:
        """When something is due next, in seconds since the epoch; None where there is no such thing."""
        entry = self._entries.get(key)
        return entry.due.timestamp() if entry is not None and entry.due is not None else None

    def _see(self, key: str, now: float) -> None:
        """Note when it was first there. A time that lies ahead was told by a clock that was wrong."""
        if self._seen.get(key, math.inf) > now:
            self._seen[key] = now
            self._ledger.put(SEEN + key, str(now))

    def _plan(self, entry: _Entry) -> None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        schedule, key = entry.timed.schedule, entry.timed.key
        entry.due = next_due(schedule, now, host=self._host, job=key)
        if entry.due == entry.met:
            entry.due = next_due(schedule, entry.met, host=self._host, job=key)
        delay = (entry.due - now).total_seconds()
        entry.event = self._scheduler.enter(delay, 0, self._due, (entry,))

    def _due(self, entry: _Entry) -> None:
        entry.event = None
        now = self._clock()
        # In whole microseconds, as the next due time is reckoned: else one that is missed by less is passed over.
        late = (datetime.fromtimestamp(now, UTC) - entry.due).total_seconds() if entry.due is not None else -1.0
        if late >= 0:
            entry.met = entry.due
        # Early is what the clocks' drift makes of it. Late is a host that slept, or whose clock was set: from 1970
        # perhaps, and then the run may have been before.
        if 0 <= late <= LATE or (late > LATE and entry.timed.schedule.catch_up and self._is_missed(entry.timed, now)):
            self._start(entry, now)
        self._plan(entry)

    def _start(self, entry: _Entry, now: float) -> None:
        timed = entry.timed
        if not timed.places:
            if timed.start(now, partial(self._ended, timed.key)):
                entry.skipped = False
            elif not entry.skipped:
                entry.skipped = True
                timed.skip(now)
            return
        if timed.key not in self._waiting:
            self._waiting[timed.key] = timed
            self._ledger.put(WAITING + timed.key, str(now))
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Start what has its places to itself, and nobody before it who waits for one of them."""
        taken = {place for places in self._running.values() for place in places}
        for key, timed in list(self._waiting.items()):
            if key not in self._running and not taken & timed.places:
                self._running[key] = timed.places
                if timed.start(self._clock(), partial(self._ended, key)):
                    self._forget_waiting(key)
                else:
                    del self._running[key]
            taken |= timed.places

    def _ended(self, key: str) -> None:
        if self._running.pop(key, None) is not None:
            self._start_waiting()

    def _forget_waiting(self, key: str) -> None:
        self._waiting.pop(key)
        self._ledger.put(WAITING + key, None)

    def _is_missed(self, timed: Timed, now: float) -> bool:
        return missed(
            timed.schedule,
            datetime.fromtimestamp(max(timed.last, self._seen[timed.key]), UTC),
            datetime.fromtimestamp(now, UTC),
            host=self._host,
            job=timed.key,
        )

    def _cancel(self, entry: _Entry) -> None:
        if entry.event is not None:
            self._scheduler.cancel(entry.event)
            entry.event = None


class _Entry:
    """What waits for its time."""

    def __init__(self, timed: Timed) -> None:
        self.timed = timed
        self.due: datetime | None = None
        self.met: datetime | None = None
        """The due time that came last. It does not come again when the clock is set back behind it."""
        self.event: sched.Event | None = None
        self.skipped = False
        """Whether it has been said that the present run is in the way of the next."""


def moments(state: State, prefix: str) -> dict[str, float]:
    """The times kept under the keys that begin with `prefix`; one that is damaged is none."""
    found = {}
    for name, value in state.items(prefix).items():
        with suppress(ValueError):
            found[name] = float(value)
    return found
