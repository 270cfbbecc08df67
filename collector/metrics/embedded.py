"""History in home's own database: a journal of what arrives, rolled into a block per host and hour.

Appending must be cheap: a report becomes one compact row of the journal, and its series are looked up in memory.
Some minutes after an hour has ended its rows become one block, at about a tenth of their size. Readings that come
late, from a spool, go the same way and are merged into the block of their hour.

Everything is kept by host and hour, so that no host's trouble (a damaged block, a flood of series, a wrong clock)
reaches another host, and a damaged block costs one hour.
"""

from __future__ import annotations

import logging
import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import count, groupby, pairwise
from operator import attrgetter
from statistics import median
from sys import intern
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update

from collector.api.shapes import Series
from collector.metrics import tables
from collector.metrics.blocks import (
    HOUR_MS,
    MAX_SERIES,
    BlockError,
    Column,
    decode_block,
    decode_row,
    encode_block,
    encode_row,
    to_milliseconds,
)
from collector.metrics.contract import Arrival, Bounds, Dropped
from collector.store.database import upsert, write_rows
from wire.report import Reading

AHEAD = 86_400.0
"""Seconds that a reading may be ahead of home's clock: room for a wrong time zone, not for a wrong century."""
QUIET = 300
"""A closed hour is rolled up when no row of it came for so many seconds…"""
PATIENCE = 3600 + QUIET
"""…or when its first row is this old: the rows of a host whose clock is slow never stop coming."""
SEEN_LAG = 24
"""Hours that a series' `seen` may be behind, so that most blocks leave it as it is."""
MAX_SAMPLES = 2_000_000
"""Of one host within one hour, 5,000 series every nine seconds: these are in memory while they become a block."""
HOLE = 3
"""Two samples that are more than so many usual distances apart have a hole between them."""

log = logging.getLogger(__name__)

_JOURNAL = insert(tables.journal)
_TIME = attrgetter("time")
_VALUE = attrgetter("value")

_Key = tuple[str | tuple[str, str], ...]
"""A series: check, name, unit, and its labels as pairs."""


class _Numbers:
    """The series of one host as the writer knows them."""

    def __init__(self, known: Iterable[tuple[_Key, int]], bounds: Bounds) -> None:
        self.by_key = dict(known)
        self.most = bounds.series
        self._most_of_check = bounds.series_of_check
        self._of_check = Counter(key[0] for key in self.by_key)
        self._used = set(self.by_key.values())
        self._free = 0  # no number below it is free

    def give(self, key: _Key) -> int | None:
        """A number for a series that has none, the smallest that is free; None where there may be no more."""
        check = key[0]
        if len(self._used) >= self.most or self._of_check[check] >= self._most_of_check:
            return None
        self._of_check[check] += 1
        self._free = next(number for number in count(self._free) if number not in self._used)
        self._used.add(self._free)
        self.by_key[key] = self._free
        return self._free


class EmbeddedHistory:
    """`contract.History` in the tables of `collector.metrics.tables`. One process writes."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - frozen
        if not 0 < bounds.series <= MAX_SERIES:
            raise ValueError(f"a host can have 1 to {MAX_SERIES} series, not {bounds.series}")
        self.bounds = bounds
        self._numbers: dict[str, _Numbers] = {}
        """Of the hosts that reported since the start. Only the writer looks here; readers ask the database."""

    def append(self, connection: Connection, arrivals: Iterable[Arrival], now: float) -> list[Dropped]:
        """See `contract.History`."""
        past, future = now - self.bounds.retention, now + AHEAD
        rows: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        dropped: list[Dropped] = []
        for host, arrived in arrivals:
            times, taken = list(map(_TIME, arrived)), arrived
            if not times:
                continue
            if not past <= min(times) <= max(times) <= future:
                taken, refused = _in_range(arrived, past, future)
                dropped += (Dropped(host, reason, number) for reason, number in refused.items())
                times = list(map(_TIME, taken))
            if (known := self._numbers.get(host)) is None:
                known = self._numbers[host] = _Numbers(_known(connection, host), self.bounds)
            find = known.by_key.get
            numbers = [
                find((r.check, r.name, r.unit, *r.labels.items()) if r.labels else (r.check, r.name, r.unit))
                for r in taken
            ]
            if None in numbers:
                numbers = [
                    _introduce(known, reading, host, _hour(now), new) if number is None else number
                    for number, reading in zip(numbers, taken, strict=True)
                ]
                if surplus := numbers.count(None):
                    dropped.append(Dropped(host, "series", surplus))
                    taken = [reading for number, reading in zip(numbers, taken, strict=True) if number is not None]
                    times = list(map(_TIME, taken))
            rows += (
                {"hour": hour, "host_id": host, "received": int(now), "body": body}
                for hour, body in _rows([number for number in numbers if number is not None], times, taken)
            )
        if new:
            connection.execute(insert(tables.series), new)
        write_rows(connection, _JOURNAL, rows)
        return dropped

    def rolled_back(self) -> None:
        """See `contract.History`."""
        self._numbers.clear()

    def compact(self, connection: Connection, now: float, *, blocks: int = 1) -> int:
        """See `contract.History`."""
        journal = tables.journal.c
        due = connection.execute(
            select(journal.host_id, journal.hour)
            .where(journal.hour < _hour(now))
            .group_by(journal.hour, journal.host_id)
            .having(
                or_(
                    func.max(journal.received) <= int(now) - QUIET,
                    func.min(journal.received) <= int(now) - PATIENCE,
                )
            )
            .order_by(journal.hour, journal.host_id)
            .limit(blocks)
        ).all()
        for host, hour in due:
            _roll_up(connection, host, hour)
        return len(due)

    def expire(self, connection: Connection, now: float) -> int:
        """See `contract.History`."""
        horizon = _hour(now - self.bounds.retention)
        blocks = tables.blocks.c
        sizes = connection.execute(
            select(blocks.hour, func.sum(blocks.size)).group_by(blocks.hour).order_by(blocks.hour)
        ).all()
        if sizes and (sizes[0][0] < horizon or sum(size for _, size in sizes) > self.bounds.size):
            return connection.execute(delete(tables.blocks).where(blocks.hour == sizes[0][0])).rowcount
        for host in _forget_series(connection, horizon - SEEN_LAG):
            self._numbers.pop(host, None)
        return 0

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
        """See `contract.History`."""
        span = range(math.ceil(start * 1000), math.ceil(end * 1000))
        found = {row.number: row for row in _matching(connection, host, check, name, labels or {})}
        asked = 1000 if step is None else max(round(step * 1000), 1)
        as_they_are = step is None
        while found and span:
            pieces = _pieces(connection, host, span, found)
            if as_they_are:
                sampled = _with_holes(pieces, limit)
                if sampled is None:
                    as_they_are = False
                    continue
            else:
                grid = _grid(span, asked, max(limit // len(found), 1))
                sampled = _means(pieces, grid)
                if grid.step > asked and len(sampled) < len(found):
                    # Series without samples in this range took a share of the points: once more, without them.
                    found = {number: found[number] for number in found if number in sampled}
                    continue
            return [
                Series(
                    check=row.check_name,
                    name=row.name,
                    unit=row.unit,
                    labels=msgspec.json.decode(row.labels),
                    times=sampled[number][0],
                    values=sampled[number][1],
                )
                for number, row in found.items()
                if number in sampled
            ]
        return []


def _hour(time: float) -> int:
    return math.floor(time / 3600)


def _known(connection: Connection, host: str) -> Iterator[tuple[_Key, int]]:
    columns = tables.series.c
    for row in connection.execute(select(tables.series).where(columns.host_id == host)):
        # The hosts of a fleet measure the same things: one copy of these texts serves all.
        identity = intern(row.check_name), intern(row.name), intern(row.unit)
        yield (*identity, *msgspec.json.decode(row.labels, type=dict[str, str]).items()), row.number


def _in_range(
    readings: Sequence[Reading], past: float, future: float
) -> tuple[Sequence[Reading], Counter[Literal["past", "future"]]]:
    """The readings that are neither too old nor ahead of their time, and how many are."""
    refused: Counter[Literal["past", "future"]] = Counter()
    refused["past"] = sum(reading.time < past for reading in readings)
    refused["future"] = sum(reading.time > future for reading in readings)
    return [reading for reading in readings if past <= reading.time <= future], +refused


def _introduce(known: _Numbers, reading: Reading, host: str, hour: int, new: list[dict[str, Any]]) -> int | None:
    """The number of a series that was not found as it is written; a row for it is added to `new` if it is new."""
    labels = dict(sorted(reading.labels.items()))
    identity = intern(reading.check), intern(reading.name), intern(reading.unit)
    key: _Key = (*identity, *labels.items())
    if (number := known.by_key.get(key)) is not None:
        # It is in this report twice, or its labels come in another order: that is how this host writes them.
        if len(known.by_key) < 2 * known.most:
            known.by_key[(*identity, *reading.labels.items())] = number
        return number
    if (number := known.give(key)) is not None:
        new.append(
            {
                "host_id": host,
                "number": number,
                "check_name": reading.check,
                "name": reading.name,
                "unit": reading.unit,
                "labels": msgspec.json.encode(labels).decode(),
                "seen": hour,
            }
        )
    return number


def _rows(numbers: Sequence[int], times: Sequence[float], readings: Sequence[Reading]) -> Iterator[tuple[int, bytes]]:
    """Hour and body of the rows that hold a report's readings: one, or two at the turn of an hour.

    `numbers` and `times` are those of the readings, one by one.
    """
    if not readings:
        return
    hour = to_milliseconds(min(times)) // HOUR_MS
    if hour == to_milliseconds(max(times)) // HOUR_MS:
        yield hour, encode_row(numbers, times, map(_VALUE, readings))
        return
    parts: dict[int, list[int]] = {}
    for place, time in enumerate(times):
        parts.setdefault(to_milliseconds(time) // HOUR_MS, []).append(place)
    for hour, places in parts.items():
        values = [readings[place].value for place in places]
        yield hour, encode_row([numbers[place] for place in places], [times[place] for place in places], values)


def _roll_up(connection: Connection, host: str, hour: int) -> None:
    """Make one block of an hour's rows, and of its block where there is one."""
    place = {"host_id": host, "hour": hour}
    columns = next(_columns(connection, host, range(hour, hour + 1)))[1]
    if columns:
        body = encode_block(columns)
        statement = upsert(connection, tables.blocks, tuple(place), ("size", "body"))
        connection.execute(statement, {**place, "size": len(body), "body": body})
        series = tables.series.c
        behind = connection.execute(
            select(series.number).where(series.host_id == host, series.seen < hour - SEEN_LAG)
        ).scalars()
        if seen := {column.number for column in columns}.intersection(behind):
            connection.execute(
                update(tables.series)
                .where(series.host_id == host, series.number == bindparam("which"))
                .values(seen=hour),
                [{"which": number} for number in seen],
            )
    journal = tables.journal.c
    connection.execute(delete(tables.journal).where(journal.hour == hour, journal.host_id == host))


def _forget_series(connection: Connection, horizon: int) -> list[str]:
    """Remove series that were last seen before the hour `horizon`; gives the hosts that had any."""
    series = tables.series.c
    stale = connection.execute(
        select(series.host_id, series.number).where(series.seen < horizon).order_by(series.host_id)
    ).all()
    hosts: list[str] = []
    for host, rows in groupby(stale, key=lambda row: str(row.host_id)):
        # A series may be back after a long time, and known to the journal alone.
        back: set[int] = set()
        for hour, body in _journal(connection, host):
            back.update(column.number for column in _merged(host, hour, [], [body]))
        gone = [row.number for row in rows if row.number not in back]
        if gone:
            connection.execute(
                delete(tables.series).where(series.host_id == host, series.number == bindparam("which")),
                [{"which": number} for number in gone],
            )
            hosts.append(host)
    return hosts


def _matching(
    connection: Connection, host: str, check: str | None, name: str | None, labels: Mapping[str, str]
) -> list[Row[Any]]:
    columns = tables.series.c
    statement = select(tables.series).where(columns.host_id == host)
    if check is not None:
        statement = statement.where(columns.check_name == check)
    if name is not None:
        statement = statement.where(columns.name == name)
    rows = connection.execute(statement.order_by(columns.check_name, columns.name, columns.labels, columns.unit))
    return [row for row in rows if labels.items() <= msgspec.json.decode(row.labels).items()]


def _journal(connection: Connection, host: str, hours: range | None = None) -> list[tuple[int, bytes]]:
    """Hour and body of the rows of a host, by hour and in the order in which they came."""
    journal = tables.journal.c
    # The index begins with the hour. Few hours are in the journal: finding these first is a jump for each, where
    # a condition on a range of hours would walk over every host's rows.
    present: list[int] = []
    last = hours.start - 1 if hours else -1
    while True:
        later = select(func.min(journal.hour)).where(journal.hour > last)
        found = connection.execute(later if hours is None else later.where(journal.hour < hours.stop)).scalar()
        if found is None:
            break
        present.append(last := found)
    rows = connection.execute(
        select(journal.hour, journal.body)
        .where(journal.hour.in_(present), journal.host_id == host)
        .order_by(journal.hour, journal.id)
    )
    return [(row.hour, row.body) for row in rows]


def _columns(
    connection: Connection, host: str, hours: range, wanted: Collection[int] | None = None
) -> Iterator[tuple[int, list[Column]]]:
    """Hour by hour, the samples of block and journal together: all series, or only those `wanted`."""
    columns = tables.blocks.c
    blocks = connection.execute(
        select(columns.hour, columns.body)
        .where(columns.host_id == host, columns.hour >= hours.start, columns.hour < hours.stop)
        .order_by(columns.hour)
    )
    rows = _journal(connection, host, hours)
    parts = merge(
        ((hour, True, body) for hour, body in blocks),
        ((hour, False, body) for hour, body in rows),
        key=lambda part: part[0],
    )
    for hour, group in groupby(parts, key=lambda part: part[0]):
        together = list(group)
        yield (
            hour,
            _merged(
                host,
                hour,
                [body for _, is_block, body in together if is_block],
                [body for _, is_block, body in together if not is_block],
                wanted,
            ),
        )


def _merged(
    host: str,
    hour: int,
    blocks: Sequence[bytes],
    rows: Sequence[bytes],
    wanted: Collection[int] | None = None,
) -> list[Column]:
    """One hour's samples, the later ones in place of earlier ones of the same time.

    What is damaged is left out and told in the log: it must not hide the rest.
    """
    columns: list[Column] = []
    for body in blocks:
        try:
            columns += decode_block(body, wanted)
        except BlockError as error:
            log.error("history of host %s, hour %d since the epoch, is lost: %s", host, hour, error)
    if not rows:
        return columns
    samples = {column.number: dict(zip(column.offsets, column.values, strict=True)) for column in columns}
    room = MAX_SAMPLES - sum(map(len, samples.values()))
    for body in rows:
        if room <= 0:
            log.error("history of host %s, hour %d since the epoch, is full; what came last is left out", host, hour)
            break
        try:
            row = decode_row(body, hour)
        except BlockError as error:
            log.error("a report's readings of host %s, hour %d since the epoch, are lost: %s", host, hour, error)
            continue
        for number, offset, value in row:
            if wanted is None or number in wanted:
                samples.setdefault(number, {})[offset] = value
                room -= 1
    return [
        Column(number, offsets := sorted(points), [points[offset] for offset in offsets])
        for number, points in sorted(samples.items())
    ]


class _Piece(NamedTuple):
    """Samples of one series within one hour: milliseconds since it began, and values."""

    number: int
    begin: int
    """Milliseconds from the epoch to the hour."""
    offsets: Sequence[int]
    values: Sequence[float]


_Sampled = dict[int, tuple[list[float], list[float | None]]]
"""Series number to times, in seconds since the epoch, and values."""


def _pieces(connection: Connection, host: str, span: range, wanted: Collection[int]) -> Iterator[_Piece]:
    """The samples of the series `wanted` at the milliseconds of `span`, by hour."""
    hours = range(span.start // HOUR_MS, (span.stop - 1) // HOUR_MS + 1)
    for hour, columns in _columns(connection, host, hours, wanted):
        begin = hour * HOUR_MS
        for number, offsets, values in columns:
            low, high = bisect_left(offsets, span.start - begin), bisect_left(offsets, span.stop - begin)
            if low < high:
                yield _Piece(number, begin, offsets[low:high], values[low:high])


def _with_holes(pieces: Iterable[_Piece], limit: int) -> _Sampled | None:
    """The samples as they are, with a None where some are missing; None when there are more than `limit`."""
    times: dict[int, list[int]] = {}
    values: dict[int, list[float]] = {}
    total = 0
    for piece in pieces:
        total += len(piece.offsets)
        if total > limit:
            return None
        times.setdefault(piece.number, []).extend(piece.begin + offset for offset in piece.offsets)
        values.setdefault(piece.number, []).extend(piece.values)
    return {number: _holed(times[number], values[number]) for number in times}


def _holed(times: Sequence[int], values: Sequence[float]) -> tuple[list[float], list[float | None]]:
    usual = median([later - earlier for earlier, later in pairwise(times)] or [0])
    told: list[float] = []
    seen: list[float | None] = []
    before = times[0]
    for time, value in zip(times, values, strict=True):
        if time - before > HOLE * usual:
            told.append((before + usual) / 1000)
            seen.append(None)
        told.append(time / 1000)
        seen.append(value)
        before = time
    return told, seen


class _Grid(NamedTuple):
    """`points` steps of `step` milliseconds from `start` on, a multiple of the step."""

    start: int
    step: int
    points: int


def _grid(span: range, step: int, most: int) -> _Grid:
    """Steps that cover `span`: at most `most` of them and one more, by widening the step."""
    step *= max(math.ceil(len(span) / (step * most)), 1)
    first, last = span.start // step, (span.stop - 1) // step
    return _Grid(first * step, step, last - first + 1)


def _means(pieces: Iterable[_Piece], grid: _Grid) -> _Sampled:
    """The mean of each step's samples, None for steps without any."""
    means: dict[int, tuple[array[float], array[int]]] = {}
    for number, begin, offsets, values in pieces:
        if number not in means:
            means[number] = array("d", bytes(8 * grid.points)), array("Q", bytes(8 * grid.points))
        mean, samples = means[number]
        low = 0
        while low < len(offsets):
            index = (begin + offsets[low] - grid.start) // grid.step
            high = bisect_left(offsets, grid.start + (index + 1) * grid.step - begin, low)
            samples[index] += high - low
            mean[index] += (_mean(values[low:high]) - mean[index]) * ((high - low) / samples[index])
            low = high
    told = [(grid.start + index * grid.step) / 1000 for index in range(grid.points)]
    return {
        number: (told, [value if samples else None for value, samples in zip(*pair, strict=True)])
        for number, pair in means.items()
    }


def _mean(values: Sequence[float]) -> float:
    """Between the smallest and the largest, which rounding alone would not promise: a flat line stays flat."""
    return min(max(sum(values) / len(values), min(values)), max(values))
