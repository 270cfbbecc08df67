"""Takes reports in: exactly once, whatever the wire does, and acknowledged only after they are committed.

The event loop verifies and decodes; one thread writes. While reports come close upon each other, it waits a moment
after the first before it drains the queue, so that they share a transaction: each commit waits for the disk. One
that comes alone, as from a host that sends what it kept, is written at once.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from collector.metrics.contract import Arrival, Dropped, History
from collector.rules.intake import HostRecord, count_lost, hear, take
from collector.rules.windows import latest
from collector.store import backups, hosts, windows
from collector.store.database import Database, said
from wire.codec import decode
from wire.errors import WireError
from wire.report import Event, MaintenanceWindow, Reading, Reply, Report
from wire.signature import WINDOW, Claim, PublicKey, parse, verify

LINGER = 0.003
"""Seconds that the writer waits for company after the first report of a group, where there was company before."""
GROUP = 256
"""Reports in one transaction, at most."""
WAITING = 200_000
"""Readings, states, events and so on that may wait to be written, in all: some 2,000 usual reports."""
REPORT_WEIGHT = 50
"""What a report counts towards WAITING besides what it holds."""
LOG_WEIGHT = 20
"""What a day's summary of logs counts."""
BACKUP_WEIGHT = 10
"""What a run of a backup job, or a drill, counts."""
LARGE_BODY = 1 << 16
"""Bytes from which on a body is decoded in a thread, for it would hold up the loop for milliseconds."""
NONCES = 200_000
"""Signatures remembered, at most. Forgetting one early does no harm: its report's sequence number is known."""
RATE = 2_000.0
"""What home takes of one host per second in the long run, weighed as for WAITING: a usual report each 75 ms."""
BURST = 50 * RATE
"""What it takes of one host at once; a spool that was filled while home was away may hold more, and has to wait."""
REFUSED_WEIGHT = 10_000
"""What counts that is no report: a quarter of a second can go by until that is known. Few hosts ever send any."""
REMIND = 3600.0
"""Seconds between two events that tell of readings which were not taken, per host and reason."""
DROPPED = {
    "series": "the host, or one check of it, has as many series of readings as it may have",
    "future": "they are more than a day ahead of home's clock",
    "past": "they are older than the history that is kept",
}

log = logging.getLogger(__name__)
R = TypeVar("R")
_TIME = attrgetter("time")


def weigh(report: Report) -> int:
    """What a report costs to store, in about readings."""
    held: tuple[Sized, ...] = report.readings, report.checks, report.events, report.jobs, report.gaps
    ran = len(report.backups) + len(report.drills)
    return REPORT_WEIGHT + sum(map(len, held)) + LOG_WEIGHT * len(report.logs) + BACKUP_WEIGHT * ran


def timed(report: Report) -> Sequence[Reading]:
    """Its readings, each with the time at which it was measured."""
    if all(map(_TIME, report.readings)):
        return report.readings
    return [reading if reading.time else replace(reading, time=report.time) for reading in report.readings]


class StoreError(Exception):
    """A report could not be stored for a reason that is home's own and not the report's."""


class Item(NamedTuple):
    """A verified report on its way to the store."""

    report: Report
    received: float
    created: float
    done: asyncio.Future[Reply]


@dataclass(frozen=True, slots=True)
class Work(Generic[R]):
    """Something else for the writing thread to do, in a transaction of its own."""

    run: Callable[[Connection], R]
    done: asyncio.Future[R]


class Writer:
    """The one thread that writes what hosts report. Its methods are called on the event loop."""

    def __init__(
        self,
        database: Database,
        history: History,
        *,
        clock: Callable[[], float],
        heard: Callable[[set[str]], None] = lambda _hosts: None,
    ) -> None:
        """`heard` is told, by the writing thread, which hosts had a report committed."""
        self._database = database
        self._history = history
        self._clock = clock
        self._heard = heard
        self._queue: queue.SimpleQueue[Item | Work[Any] | None] = queue.SimpleQueue()
        self._weight = 0
        self._reminded: dict[tuple[str, str], float] = {}
        self._untold: Counter[tuple[str, str]] = Counter()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write; outcomes are given back on `loop`."""
        self._loop = loop
        self._thread.start()

    async def stop(self) -> None:
        """Write what is waiting, then end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def store(self, report: Report, *, received: float, created: float) -> Reply:
        """Home's answer, once the report is committed.

        Raises WireError, `revoked`, or `busy` where too much waits or the database cannot be written; or StoreError.
        """
        weight = weigh(report)
        if self._weight + weight > WAITING:
            raise WireError("busy", "home has as many reports waiting as it can hold; try again later")
        self._weight += weight
        try:
            done: asyncio.Future[Reply] = self._loop.create_future()
            self._queue.put(Item(report, received, created, done))
            return await done
        finally:
            self._weight -= weight

    async def run(self, function: Callable[[Connection], R]) -> R:
        """What `function` returns, run by the writing thread in a transaction of its own."""
        done: asyncio.Future[R] = self._loop.create_future()
        self._queue.put(Work(function, done))
        return await done

    def _run(self) -> None:
        crowded = False
        while (first := self._queue.get()) is not None:
            if isinstance(first, Work):
                self._settle([(first.done, self._do(first))])
                continue
            if crowded or not self._queue.empty():
                time.sleep(LINGER)
            group, after = self._gather(first)
            crowded = len(group) > 1
            results = self._commit(group)
            outcomes = list(zip(group, results, strict=True))
            self._heard({item.report.host for item, result in outcomes if isinstance(result, Reply)})
            self._settle([(item.done, result) for item, result in outcomes])
            if isinstance(after, Work):
                self._settle([(after.done, self._do(after))])
            elif after == "stop":
                return

    def _gather(self, first: Item) -> tuple[list[Item], Work[Any] | str]:
        """A group that begins with `first`, and what came after it that is no report."""
        group = [first]
        while len(group) < GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, "stop"
            if isinstance(item, Work):
                return group, item
            group.append(item)
        return group, ""

    def _do(self, work: Work[R]) -> R | Exception:
        try:
            with self._database.write() as connection:
                return work.run(connection)
        except Exception as error:
            self._history.rolled_back()
            return error

    def _commit(self, group: Sequence[Item]) -> Sequence[Reply | Exception]:
        """One outcome for each of the group, in its order. A report that cannot be stored fails alone."""
        try:
            with self._database.write() as connection:
                return self._store(connection, group)
        except OperationalError as error:
            self._history.rolled_back()
            log.error("the database cannot be written: %s", said(error))
            return [WireError("busy", "home cannot write its database now; try again later")] * len(group)
        except Exception as error:
            self._history.rolled_back()
            if len(group) > 1:
                return [outcome for item in group for outcome in self._commit([item])]
            log.exception("a report of host %s could not be stored", group[0].report.host)
            return [StoreError(str(error))]

    def _store(self, connection: Connection, group: Sequence[Item]) -> list[Reply | Exception]:
        ids = {item.report.host for item in group}
        records = hosts.records(connection, ids)
        marks = hosts.marks(connection, ids)
        outcomes: list[Reply | Exception] = []
        intake = hosts.Intake()
        arrivals: list[Arrival] = []
        changed: dict[str, HostRecord] = {}
        open_windows = _windows(connection, [record.name for record in records.values()], self._clock())
        advanced: dict[tuple[str, str], int] = {}
        for item in group:
            report = item.report
            record = records.get(report.host)
            if record is None:
                outcomes.append(WireError("revoked", "this host was revoked; enrol it again to let it report"))
                continue
            stream = (report.host, report.epoch)
            mark = marks.get(stream)
            if mark is not None and report.sequence <= mark:
                window = open_windows.get(record.name)
                outcomes.append(Reply(time=self._clock(), duplicate=True, window=window))
                continue
            newest = mark is None or record.epoch == report.epoch
            if newest:
                record, transitions = take(record, report, received=item.received, created=item.created)
            else:
                record, transitions = hear(record, received=item.received)
            if report.gaps:
                record = replace(record, lost=count_lost(record.lost, report))
            records[report.host] = changed[report.host] = record
            marks[stream] = advanced[stream] = report.sequence
            intake.changes += [(report.host, change) for change in transitions]
            intake.events += [(report.host, event) for event in report.events]
            intake.jobs += [(report.host, job) for job in report.jobs]
            intake.gaps += [(report.host, gap) for gap in report.gaps]
            if report.logs:
                intake.logs += [(report.host, summary) for summary in report.logs]
            for run in report.backups:
                intake.backups.append(backups.Came(report.host, run, item.received, newest))
            for drill in report.drills:
                intake.drills.append(backups.Came(report.host, drill, item.received, newest))
            if report.readings:
                arrivals.append(Arrival(report.host, timed(report)))
            if report.packages is not None and newest:
                intake.packages[report.host] = report.packages, item.received
            outcomes.append(Reply(time=self._clock(), window=open_windows.get(record.name)))
        now = self._clock()
        hosts.save_standing(connection, changed.values())
        hosts.save_marks(connection, advanced, now)
        if arrivals:
            dropped = self._history.append(connection, arrivals, now)
            intake.events += [event for loss in dropped for event in self._remind(loss, now)]
        hosts.add_intake(connection, intake)
        return outcomes

    def _remind(self, loss: Dropped, now: float) -> list[tuple[str, Event]]:
        """An event of home's own, once in a while: a host with a wrong clock loses readings in every report."""
        which = loss.host, loss.reason
        due = self._reminded.get(which)
        self._untold[which] += loss.readings
        if due is not None and now < due:
            return []
        self._reminded[which] = now + REMIND
        since = "" if due is None else " since this was last told"
        message = f"{self._untold.pop(which)} readings were not kept{since}: {DROPPED[loss.reason]}"
        return [(loss.host, Event(time=now, kind="history.dropped", state="warning", message=message))]

    def _settle(self, outcomes: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
        self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, outcome in outcomes:
        if done.cancelled():
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)


class Nonces:
    """Signatures seen while they would still be taken, bounded in number. Not safe for threads."""

    def __init__(self, limit: int = NONCES) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, str], float] = {}

    def add(self, key_id: str, nonce: str, *, created: float, now: float) -> bool:
        """False for one that was seen before."""
        seen, signed = self._seen, (key_id, nonce)
        # In order of arrival, which is nearly that of expiry: what is left over goes a little later.
        while seen:
            oldest = next(iter(seen))
            if seen[oldest] >= now and len(seen) < self._limit:
                break
            del seen[oldest]
        if signed in seen:
            return False
        seen[signed] = created + WINDOW
        return True


class Allowances:
    """What each host may have home do, so that none takes the room and the time of the others.

    A bucket per host, which leaks RATE a second: who has filled it to BURST must wait. Not safe for threads.
    """

    def __init__(self) -> None:
        self._filled: dict[str, tuple[float, float]] = {}
        """Host to how full its bucket was, and when."""

    def has_room(self, host: str, now: float) -> bool:
        """Whether home takes a report of the host, of whatever weight."""
        return self._level(host, now) < BURST

    def fill(self, host: str, weight: int, now: float) -> None:
        """It took one."""
        self._filled[host] = self._level(host, now) + weight, now

    def _level(self, host: str, now: float) -> float:
        level, then = self._filled.get(host, (0.0, now))
        return max(0.0, level - RATE * max(0.0, now - then))


class Ingest:
    """From a request's headers and body to home's answer. Used on the event loop alone."""

    def __init__(self, database: Database, writer: Writer, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._nonces = Nonces()
        self._allowances = Allowances()
        # A key never changes under its id, and the writer looks whether the host was revoked meanwhile.
        self._keys: dict[str, PublicKey] = {}

    async def expect(self, headers: Mapping[str, str]) -> Claim:
        """What the headers claim. Raises WireError unless it is to be of a host that may report.

        Before its body is read: what strangers send takes none of home's memory.
        """
        claim = parse(headers)
        await self._key(claim.key_id)
        return claim

    async def take(self, claim: Claim, target: str, body: bytes) -> Reply:
        """Verify, decode and store. Raises WireError for what is refused, StoreError for what could not be stored."""
        received = await self.prove(claim, target, body)
        try:
            report = await asyncio.to_thread(decode, body) if len(body) > LARGE_BODY else decode(body)
        except WireError:
            self._allowances.fill(claim.key_id, REFUSED_WEIGHT, received)
            raise
        self._allowances.fill(claim.key_id, weigh(report), received)
        if report.host != claim.key_id:
            raise WireError("bad_request", "the report is of another host than the one that signed it")
        try:
            return await self._writer.store(report, received=received, created=claim.created)
        except WireError as error:
            if error.code == "revoked":
                self._keys.pop(claim.key_id, None)
            raise

    async def prove(self, claim: Claim, target: str, body: bytes, *, weight: int = 0) -> float:
        """Home's time, at which the host that `claim` names is proven to have sent this. Raises WireError.

        `weight` is what the request counts towards what home takes of one host; a report's is known later.
        """
        received = self._clock()
        key = await self._key(claim.key_id)
        verify(claim, key, "POST", target, body, now=received)
        if not self._allowances.has_room(claim.key_id, received):
            raise WireError("busy", "this host sends more than home takes of one; try again later")
        if not self._nonces.add(claim.key_id, claim.nonce, created=claim.created, now=received):
            raise WireError("replayed", "this very request was taken before; sign it afresh")
        self._allowances.fill(claim.key_id, weight, received)
        return received

    async def _key(self, host: str) -> PublicKey:
        if (known := self._keys.get(host)) is not None:
            return known
        found = await asyncio.to_thread(self._credential, host)
        if found is None:
            raise WireError("unknown_host", "no host of this id was ever enrolled here")
        if found.key is None:
            raise WireError("revoked", "this host was revoked; enrol it again to let it report")
        key = self._keys[host] = PublicKey(found.key)
        return key

    def _credential(self, host: str) -> hosts.Credential | None:
        with self._database.read() as connection:
            return hosts.credential(connection, host)


def _windows(connection: Connection, names: Sequence[str], now: float) -> dict[str, MaintenanceWindow]:
    """Of the hosts of these names that are in a maintenance window, the one that ends last."""
    found = {}
    for name, opened in windows.of_hosts(connection, names, now).items():
        if (last := latest(opened, now)) is not None:
            found[name] = MaintenanceWindow(until=last.until, reason=last.reason)
    return found
