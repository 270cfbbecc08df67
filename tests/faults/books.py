"""The oracle: what an agent put into its books, against what home has in its own, item by item.

A trigger in each database copies every row into a table of witnesses, within the very transaction that the product
commits: so the witnesses hold exactly what was committed, whatever was killed when, and nothing of what was rolled
back. They see what is written, not what is kept: rows that are sent, trimmed or pruned later stay witnessed.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.metrics.blocks import HOUR_MS, decode_row, to_milliseconds
from wire.report import Event, JobResult, Reading

AGENT = """
CREATE TABLE IF NOT EXISTS witness (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, row BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS witness_outbox AFTER INSERT ON outbox
BEGIN INSERT INTO witness (kind, row) VALUES (NEW.kind, NEW.row); END;
"""
HOME = """
CREATE TABLE IF NOT EXISTS witness (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, host TEXT NOT NULL, one, two, three);
CREATE TRIGGER IF NOT EXISTS witness_events AFTER INSERT ON events BEGIN
INSERT INTO witness (kind, host, one, two, three) VALUES ('event', NEW.host_id, NEW.time, NEW.kind, NEW.message); END;
CREATE TRIGGER IF NOT EXISTS witness_runs AFTER INSERT ON job_runs BEGIN
INSERT INTO witness (kind, host, one, two, three) VALUES ('job', NEW.host_id, NEW.started, NEW.name, NEW.outcome);
END;
CREATE TRIGGER IF NOT EXISTS witness_readings AFTER INSERT ON history_journal BEGIN
INSERT INTO witness (kind, host, one, two, three) VALUES ('readings', NEW.host_id, NEW.hour, NEW.body, ''); END;
"""
OWN_EVENTS = ("history.", "host.")
"""How the kinds of events begin that home adds itself."""


@dataclass
class Books:
    """Every reading, event and result of a job, each as a tuple that tells it from all others, and how often."""

    readings: Counter[tuple[object, ...]] = field(default_factory=Counter)
    events: Counter[tuple[object, ...]] = field(default_factory=Counter)
    job_results: Counter[tuple[object, ...]] = field(default_factory=Counter)

    def add(self, items: list[Reading] | Event | JobResult) -> None:
        """Enter what one row of an outbox holds."""
        if isinstance(items, Event):
            self.events[items.time, items.kind, items.message] += 1
        elif isinstance(items, JobResult):
            self.job_results[items.started, items.name, items.outcome] += 1
        else:
            for reading in items:
                self.readings[_key(reading.check, reading.name, reading.labels, reading.time, reading.value)] += 1

    def sizes(self) -> Counter[str]:
        """How many of each, in the words of a gap."""
        return Counter(
            readings=self.readings.total(), events=self.events.total(), job_results=self.job_results.total()
        )


def witness_agent(folder: Path) -> None:
    """Let the database in a state folder remember what is committed from now on."""
    _script(folder / "agent.db", AGENT)


def witness_home(folder: Path) -> None:
    """The same for the database in a collector's folder."""
    _script(folder / "collector.db", HOME)


def committed(folder: Path) -> Books:
    """What the agent's database took in."""
    books = Books()
    decoders: dict[str, Callable[[bytes], list[Reading] | Event | JobResult]] = {
        "readings": msgspec.json.Decoder(list[Reading]).decode,
        "event": msgspec.json.Decoder(Event).decode,
        "job": msgspec.json.Decoder(JobResult).decode,
    }
    for kind, row in _rows(folder / "agent.db", "SELECT kind, row FROM witness"):
        books.add(decoders[kind](row))
    return books


def stored(folder: Path) -> Books:
    """What home took in, of all its hosts."""
    books = Books()
    # The series after what is told of them: home goes on meanwhile.
    told = _rows(folder / "collector.db", "SELECT kind, host, one, two, three FROM witness")
    series = {
        (host, number): (check, name, msgspec.json.decode(labels))
        for host, number, check, name, labels in _rows(
            folder / "collector.db", "SELECT host_id, number, check_name, name, labels FROM history_series"
        )
    }
    for kind, host, one, two, three in told:
        if kind == "readings":
            for number, offset, value in decode_row(two, one):
                check, name, labels = series[host, number]
                books.readings[_key(check, name, labels, (one * HOUR_MS + offset) / 1000, value)] += 1
        elif kind == "job":
            books.job_results[one, two, three] += 1
        elif not two.startswith(OWN_EVENTS):
            books.events[one, two, three] += 1
    return books


def lost(folder: Path) -> Counter[str]:
    """What home shows as lost, of all its hosts."""
    names = ("readings", "events", "job_results", "reports")
    columns = ", ".join(f"sum(lost_{name})" for name in names)
    (row,) = _rows(folder / "collector.db", f"SELECT {columns} FROM hosts")
    return Counter({name: int(count or 0) for name, count in zip(names, row, strict=True)})


def undelivered(folder: Path) -> int:
    """Reports, rows for the next one and gaps that wait on a state folder."""
    ((count,),) = _rows(
        folder / "agent.db",
        "SELECT (SELECT count(*) FROM spool) + (SELECT count(*) FROM outbox)"
        " + (SELECT count(*) FROM gaps WHERE NOT reported)",
    )
    return int(count)


def is_settled(agent: Path, home: Path) -> bool:
    """Whether home has, or counts as lost, as much as was committed: nothing is under way then."""
    produced, arrived, gone = committed(agent).sizes(), stored(home).sizes(), lost(home)
    return all(produced[what] == arrived[what] + gone[what] for what in produced)


def assert_nothing_twice(agent: Path, home: Path) -> None:
    """Home has each item at most once, and none that was never committed; some may be under way."""
    ours, theirs = committed(agent), stored(home)
    for what in ("readings", "events", "job_results"):
        more = getattr(theirs, what) - getattr(ours, what)
        assert not more, f"{what} at home that were never committed, or twice: {more}"


def assert_balanced(agent: Path, home: Path) -> Counter[str]:
    """Home has each item at most once and none that was never committed; what it lacks is what it counts as lost.

    Returns how many home has of each.
    """
    assert_nothing_twice(agent, home)
    ours, theirs, gone = committed(agent), stored(home), lost(home)
    for what in ("readings", "events", "job_results"):
        missing = (getattr(ours, what) - getattr(theirs, what)).total()
        assert missing == gone[what], f"{missing} {what} are missing, {gone[what]} are counted as lost"
    return theirs.sizes()


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database as another program sees it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def _key(check: str, name: str, labels: dict[str, str], time: float, value: float) -> tuple[object, ...]:
    return check, name, tuple(sorted(labels.items())), to_milliseconds(time), value


def _script(path: Path, script: str) -> None:
    with opened(path) as connection:
        connection.executescript(script)


def _rows(path: Path, query: str) -> list[tuple[object, ...]] | list[tuple[int, ...]]:
    """Also where a server that ends or a full disk is in the way for a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with opened(path) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
