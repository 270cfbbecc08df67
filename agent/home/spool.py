"""Reports that wait for home: numbered, bounded, and every loss accounted for.

The rule of accounting: what was put in equals what home took, plus what the gaps that home took count, plus what
waits and what the gaps count that wait; exactly, whatever is killed when. Three things make it hold. Every change
is one transaction. A report that loses its readings keeps its number and tells the loss itself: if home had the
full one in fact, the other is a repeat, and neither is counted twice. And the oldest report is never dropped for
want of room: reports go out in order, one at a time, so it is the only one that home may have taken without our
knowing, and its loss would be told under another number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from agent.home import gaps
from agent.state import State
from wire import codec
from wire.errors import WireError
from wire.report import Gap, Report

FACTS_TOLD = "home.facts_told"
"""The key in the state under which the reporter keeps the facts that home will know."""

PACKAGES_TOLD = "home.packages_told"
"""The same of the digest of the packages that home will know."""

AT_ONCE = 64
"""Reports looked at in one query while trimming; a body may have a mebibyte."""

READINGS_LEFT = "readings > 0"
BARE = "readings = 0 AND events = 0 AND job_results = 0"
ANY = "TRUE"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A report as it waits."""

    sequence: int
    time: float
    """When it was made, seconds since the epoch."""
    body: bytes
    """What travels: `wire.codec.decode` reads it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has not been acknowledged yet."""

    reports: int
    bytes: int
    oldest: float | None
    """When the oldest was made, seconds since the epoch."""


class Spool:
    """The spool of one state database. Belongs to the thread of its `State`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._connection = state.connection

    def add(self, report: Report) -> int:
        """Keep a report under the next number, which takes the place of its own, and return the number.

        Inside a transaction. Raises WireError for a report that no reader would take; roll back then.
        """
        # The row comes first because the number does: AUTOINCREMENT gives none twice.
        sequence = self._connection.execute("INSERT INTO spool VALUES (NULL, 0, 0, 0, 0, x'')").lastrowid
        assert sequence is not None
        self._count(reports=1, size=0)
        self._put(sequence, replace(report, sequence=sequence), old_size=0)
        return sequence

    def adopt(self, report: Report, body: bytes) -> None:
        """Keep a report of another database as it is, under its own number and epoch. Inside a transaction.

        `body` is the report as it travels. Its place among the others is behind them.
        """
        self._connection.execute(
            "INSERT INTO spool VALUES (NULL, ?, ?, ?, ?, ?)",
            (report.time, len(report.readings), gaps.events_of(report), len(report.jobs), body),
        )
        self._count(reports=1, size=len(body))

    def head(self) -> Spooled | None:
        """The oldest report: the one to send."""
        row = self._connection.execute("SELECT sequence, time, body FROM spool ORDER BY sequence LIMIT 1").fetchone()
        return None if row is None else Spooled(*row)

    def waiting(self) -> Waiting:
        """How much waits, and since when."""
        reports, size = self._connection.execute("SELECT reports, bytes FROM spool_total").fetchone()
        oldest = self._connection.execute("SELECT time FROM spool ORDER BY sequence LIMIT 1").fetchone()
        return Waiting(reports, size, None if oldest is None else oldest[0])

    def acknowledge(self, sequence: int) -> None:
        """Home has it for good: forget it. Inside a transaction."""
        self._delete(sequence)

    def refuse(self, sequence: int) -> None:
        """Home will never take it: forget it, and count it as a gap. Inside a transaction."""
        if self._connection.execute("SELECT 1 FROM spool WHERE sequence = ?", (sequence,)).fetchone():
            self._lose(sequence, "refused")

    def trim(self, *, now: float, max_size: int, max_age: float) -> None:
        """Keep within `max_size` bytes of bodies and `max_age` seconds. Inside a transaction.

        What is too old goes as a whole. For size, readings go first, the oldest before newer ones: a report that
        holds nothing else goes as a whole, and one that holds an event or a job's result is rewritten without its
        readings, under the same number, with a gap that counts them. When no readings are left, whole reports go,
        those with an event or a result after all others. The oldest report of all always stays, so the spool may be
        above its bounds by that one.
        """
        if self._size() == 0:
            return
        (head,) = self._connection.execute("SELECT min(sequence) FROM spool").fetchone()

        def too_old(time: float) -> bool:
            return time < now - max_age

        def too_much(_: float) -> bool:
            return self._size() > max_size

        self._thin(head, ANY, too_old, lambda sequence: self._lose(sequence, "age"))

        def without_readings(sequence: int) -> None:
            # What would be left of others is but how the checks stood, and the newest readings would go for that.
            if sequence != head and self._is_bare_but_for_readings(sequence):
                self._lose(sequence, "size")
            else:
                self._strip(sequence)

        self._thin(head - 1, READINGS_LEFT, too_much, without_readings)
        self._thin(head, BARE, too_much, lambda sequence: self._lose(sequence, "size"))
        self._thin(head, ANY, too_much, lambda sequence: self._lose(sequence, "size"))

    def _thin(self, after: int, condition: str, needed: Callable[[float], bool], act: Callable[[int], None]) -> None:
        """Act on the oldest reports after a number that meet the condition, for as long as it is needed."""
        while True:
            rows = self._connection.execute(
                # One of the three constants above.
                f"SELECT sequence, time FROM spool WHERE {condition} AND sequence > ? ORDER BY sequence LIMIT ?",  # noqa: S608
                (after, AT_ONCE),
            ).fetchall()
            for sequence, time in rows:
                if not needed(time):
                    return
                act(sequence)
            if not rows:
                return

    def _is_bare_but_for_readings(self, sequence: int) -> bool:
        row = self._connection.execute(
            "SELECT events = 0 AND job_results = 0 FROM spool WHERE sequence = ?", (sequence,)
        ).fetchone()
        return bool(row[0])

    def _strip(self, sequence: int) -> None:
        """Take the readings out of a report, and let it tell that they are gone."""
        body = self._body(sequence)
        try:
            report = codec.decode(body)
        except WireError:
            self._lose(sequence, "corrupt")
            return
        told = gaps.merge([*report.gaps, gaps.of_readings("size", report)])
        self._put(sequence, replace(report, readings=[], gaps=told), old_size=len(body))

    def _lose(self, sequence: int, reason: gaps.Reason) -> None:
        """Drop a report; the next one made tells what was in it, with what it would have told itself."""
        try:
            report = codec.decode(self._body(sequence))
        except WireError:
            # A disk that lies, or a newer version that was here before: the counts beside the body still stand.
            time, readings, events, job_results = self._connection.execute(
                "SELECT time, readings, events, job_results FROM spool WHERE sequence = ?", (sequence,)
            ).fetchone()
            self._state.add_gap(
                Gap(
                    reason="corrupt",
                    since=time,
                    until=time,
                    readings=readings,
                    events=events,
                    job_results=job_results,
                    reports=1,
                )
            )
            self._state.put(FACTS_TOLD, None)
            self._state.put(PACKAGES_TOLD, None)
        else:
            for gap in (gaps.of_report(reason, report), *report.gaps):
                self._state.add_gap(gap)
            if report.facts is not None:
                self._state.put(FACTS_TOLD, None)
            if report.packages is not None:
                self._state.put(PACKAGES_TOLD, None)
        self._delete(sequence)

    def _body(self, sequence: int) -> bytes:
        row = self._connection.execute("SELECT body FROM spool WHERE sequence = ?", (sequence,)).fetchone()
        body: bytes = row[0]
        return body

    def _put(self, sequence: int, report: Report, *, old_size: int) -> None:
        body = codec.encode(report)
        self._connection.execute(
            "UPDATE spool SET time = ?, readings = ?, events = ?, job_results = ?, body = ? WHERE sequence = ?",
            (report.time, len(report.readings), gaps.events_of(report), len(report.jobs), body, sequence),
        )
        self._count(reports=0, size=len(body) - old_size)

    def _delete(self, sequence: int) -> None:
        row = self._connection.execute("SELECT length(body) FROM spool WHERE sequence = ?", (sequence,)).fetchone()
        if row is not None:
            self._connection.execute("DELETE FROM spool WHERE sequence = ?", (sequence,))
            self._count(reports=-1, size=-row[0])

    def _count(self, *, reports: int, size: int) -> None:
        self._connection.execute("UPDATE spool_total SET reports = reports + ?, bytes = bytes + ?", (reports, size))

    def _size(self) -> int:
        size: int = self._connection.execute("SELECT bytes FROM spool_total").fetchone()[0]
        return size
