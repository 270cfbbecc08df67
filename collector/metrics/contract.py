"""History of readings behind one interface: what a home asks of whatever keeps it.

Writing methods are called by the one thread that writes, inside its transaction; reading methods by any thread,
on a connection that sees one moment of the database. The connection is home's own: an implementation that keeps
its data elsewhere uses it only for what must be committed together with the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec
from sqlalchemy import Connection

from collector.api.shapes import Series
from wire.report import Reading


class Arrival(NamedTuple):
    """The readings of one report."""

    host: str
    readings: Sequence[Reading]


class Dropped(NamedTuple):
    """Readings that were not taken, for the caller to show.

    `series`: the host, or the check, has as many series as it may have. `future`: the reading is more than a day
    ahead of home's clock. `past`: it is older than history goes back.
    """

    host: str
    reason: Literal["series", "future", "past"]
    readings: int


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What history may grow to."""

    retention: float = 30 * 86400.0
    """Seconds; readings older than this go."""
    size: int = 20 * 2**30
    """Bytes on disk, of all hosts; beyond it the oldest hours go before their time."""
    series: int = 5000
    """Series of one host; readings of further ones are dropped until old series have gone."""
    series_of_check: int = 2000
    """Of these, series of one check: what floods home with labels takes no room from the host's other checks."""


class History(Protocol):
    """Readings by host, series and time.

    A series is told by check, name, unit and labels. Times are the host's own, kept to the millisecond and not
    corrected: a reading is taken when it is at most a day ahead of home's clock and no older than the retention,
    so that a clock in 2050 neither fills the future nor pushes out the past. Of two samples of one series at one
    time the later arrival counts. Values are kept bit for bit.
    """

    def append(self, connection: Connection, arrivals: Iterable[Arrival], now: float) -> list[Dropped]:
        """Take the readings of a group of reports, all by one statement. `now` is home's clock."""

    def rolled_back(self) -> None:
        """The transaction of an earlier call was rolled back: forget what was remembered of it."""

    def compact(self, connection: Connection, now: float, *, blocks: int = 1) -> int:
        """Put hours that have closed into their lasting form: at most `blocks`, some 20 ms each.

        Returns how many were done; the caller comes back soon when it was as many as allowed.
        """

    def expire(self, connection: Connection, now: float) -> int:
        """Remove what is beyond the bounds: at most one hour of all hosts, and series without samples.

        Returns how many blocks were removed; the caller comes back soon when there were any.
        """

    def query(
        self,
        connection: Connection,
        host: str,
        *,
        start: float,
        end: float,
        check: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        step: float | None = None,
        limit: int = 20_000,
    ) -> list[Series]:
        """Samples with start <= time < end of the series that match, ordered by check, name and labels.

        `labels` matches series that have at least these. Without `step` the samples are given as they are, with a
        None between two that are more than three times the usual distance apart. With `step` (seconds), all
        series share one grid of times, the multiples of the step: each value is the mean of the samples from its
        time up to the next, None where there are none. `limit` bounds the points of all series together (but for
        one each): where there would be more, they are thinned by the smallest step, or multiple of the step
        given, that keeps to it. Series without samples in the range are left out.
        """
