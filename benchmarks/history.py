"""What history takes: bytes on disk, time to append, to roll up and to query. No network, one host, one day."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from benchmarks.tables import Table, ratio
from benchmarks.workload import INTERVAL, Host
from collector.metrics.contract import Arrival
from collector.metrics.embedded import EmbeddedHistory
from collector.store.database import Database, open_database
from wire.report import Reading

BEGIN = 1_700_006_400.0
HOST = "benchmark"
BUDGET = 2.0
"""Bytes a sample."""
GROUP = 32
"""Reports in a transaction, as at a few hundred reports a second."""

T = TypeVar("T")


def run(quick: bool) -> Iterator[Table]:
    """As agents send readings, and as they would be with six significant digits."""
    hours = 2 if quick else 24
    host = Host(1)
    reports = [host.sample(BEGIN + INTERVAL * tick) for tick in range(int(hours * 3600 / INTERVAL))]
    rows: list[list[str]] = []
    for name, given in {
        "as measured": reports,
        "six digits": [[msgspec.structs.replace(r, value=rounded(r.value)) for r in report] for report in reports],
    }.items():
        with tempfile.TemporaryDirectory(prefix="hostward-bench-") as folder:
            database = open_database(Path(folder) / "history.db", create=True)
            try:
                rows.append([name, *measure(database, given)])
            finally:
                database.close()
    yield Table(
        f"History of {hours} h, {len(reports[0])} readings every {INTERVAL:.0f} s",
        [
            "values",
            "bytes a sample",
            "of the budget of 2",
            "append a report, µs",
            "roll up an hour, ms",
            "query a series, ms",
            "query all, 5 min steps, ms",
        ],
        rows,
        [
            f"Appending is timed in groups of {GROUP} reports, without the commit. "
            "Bytes are what the database grew by, once all hours are rolled up; queries cover the whole time."
        ],
    )


def measure(database: Database, reports: Sequence[Sequence[Reading]]) -> list[str]:
    """Store, roll up and query."""
    history = EmbeddedHistory()
    empty = on_disk(database)
    append: list[float] = []
    # Decoded anew, as they come from the wire: strings that were hashed before would flatter.
    fresh = msgspec.json.Decoder(list[list[Reading]])
    for begin in range(0, len(reports), GROUP):
        group = fresh.decode(msgspec.json.encode(reports[begin : begin + GROUP]))
        with database.write() as connection:
            arrivals = [Arrival(HOST, readings) for readings in group]
            now = group[-1][-1].time
            taken, _ = timed(lambda a=arrivals, n=now, c=connection: history.append(c, a, n))  # type: ignore[misc]
            append.append(taken / len(group))
    end = BEGIN + INTERVAL * len(reports)
    roll_up: list[float] = []
    while True:
        with database.write() as connection:
            taken, done = timed(lambda c=connection: history.compact(c, end + 7200))  # type: ignore[misc]
        if not done:
            break
        roll_up.append(taken)
    with database.read() as connection:
        one = median(
            timed(lambda: history.query(connection, HOST, start=BEGIN, end=end, name="cpu_used_percent"))[0]
            for _ in range(5)
        )
        everything = median(
            timed(lambda: history.query(connection, HOST, start=BEGIN, end=end, step=300))[0] for _ in range(3)
        )
    a_sample = (on_disk(database) - empty) / sum(map(len, reports))
    return [
        f"{a_sample:.2f}",
        ratio(a_sample, BUDGET),
        f"{1e6 * median(append):.0f}",
        f"{1e3 * median(roll_up):.1f}",
        f"{1e3 * one:.1f}",
        f"{1e3 * everything:.0f}",
    ]


def on_disk(database: Database) -> int:
    """Bytes of the database without the pages that are free for reuse."""
    with database.read() as connection:
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def rounded(value: float) -> float:
    """`value` with six significant digits, unless it is whole."""
    return value if value.is_integer() else float(f"{value:.6g}")


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what it returned."""
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result
