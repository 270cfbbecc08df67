"""The history beside a dictionary: whatever is appended, rolled up, expired and rolled back, in any order."""

from __future__ import annotations

import math
from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import func, select

from collector.metrics import tables
from collector.metrics.blocks import to_milliseconds
from collector.metrics.contract import Arrival, Bounds
from collector.metrics.embedded import EmbeddedHistory
from tests.collector.metrics.conftest import memory_database
from wire.report import Reading

START = 1_700_049_600.0
RETENTION = 2 * 86_400.0
HOSTS = st.sampled_from(["web", "db"])
ENDLESS = 10**9

READINGS = st.lists(
    st.tuples(
        st.sampled_from(["cpu", "disk"]),
        st.sampled_from([{}, {"mount": "/"}, {"mount": "/var", "device": "sda"}]),
        # Seconds before now, mostly recent; some from a spool, some beyond the bounds, some at the very same time.
        st.one_of(
            st.sampled_from([0.0, 0.0, 15.0, 3600.0, RETENTION, RETENTION + 1, -86_400.0, -86_401.0]),
            st.floats(-10, 100),
            st.floats(-10, RETENTION),
        ),
        st.floats(allow_nan=False),
    ),
    max_size=8,
)


class Beside(RuleBasedStateMachine):
    """Each rule does to the model what it does to the history; the invariant compares all of both."""

    def __init__(self) -> None:
        super().__init__()
        self.database = memory_database()
        self.history = EmbeddedHistory(Bounds(retention=RETENTION))
        self.now = START
        self.model: dict[str, dict[tuple[str, str], dict[int, float]]] = defaultdict(lambda: defaultdict(dict))

    def teardown(self) -> None:
        self.database.close()

    def reports(self, drawn: list[tuple[str, list[tuple[str, dict[str, str], float, float]]]]) -> list[Arrival]:
        return [
            Arrival(
                host,
                [
                    Reading(check=check, name=f"{check}_used", value=value, labels=labels, time=self.now - age)
                    for check, labels, age, value in readings
                ],
            )
            for host, readings in drawn
        ]

    @rule(drawn=st.lists(st.tuples(HOSTS, READINGS), min_size=1, max_size=4))
    def append(self, drawn: list[tuple[str, list[tuple[str, dict[str, str], float, float]]]]) -> None:
        """A group of reports, of which readings out of range are refused."""
        arrivals = self.reports(drawn)
        with self.database.write() as connection:
            dropped = self.history.append(connection, arrivals, self.now)
        refused = 0
        for host, readings in arrivals:
            for reading in readings:
                if self.now - RETENTION <= reading.time <= self.now + 86_400:
                    key = reading.check, repr(sorted(reading.labels.items()))
                    self.model[host][key][to_milliseconds(reading.time)] = reading.value
                else:
                    refused += 1
        assert sum(entry.readings for entry in dropped) == refused

    @rule(drawn=st.lists(st.tuples(HOSTS, READINGS), min_size=1, max_size=2))
    def fail(self, drawn: list[tuple[str, list[tuple[str, dict[str, str], float, float]]]]) -> None:
        """A group whose transaction comes to nothing."""
        try:
            with self.database.write() as connection:
                self.history.append(connection, self.reports(drawn), self.now)
                raise OSError("no space left on device")
        except OSError:
            self.history.rolled_back()

    @rule(seconds=st.sampled_from([1.0, 15.0, 299.0, 301.0, 3600.0, 20_000.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    @rule(blocks=st.integers(1, 50))
    def compact(self, blocks: int) -> None:
        """Some hours are rolled up."""
        with self.database.write() as connection:
            assert 0 <= self.history.compact(connection, self.now, blocks=blocks) <= blocks

    @rule()
    def expire(self) -> None:
        """Everything beyond the retention that is in blocks goes, and nothing else."""
        while True:
            with self.database.write() as connection:
                if not self.history.expire(connection, self.now):
                    break
        with self.database.read() as connection:
            oldest = connection.execute(select(func.min(tables.blocks.c.hour))).scalar()
        assert oldest is None or oldest >= self.horizon() // 3600

    @precondition(lambda self: self.model)
    @rule()
    def restart(self) -> None:
        """Another process takes over."""
        self.history = EmbeddedHistory(self.history.bounds)

    def horizon(self) -> int:
        """Seconds: the start of the hour from which on nothing may be missing."""
        return math.floor((self.now - RETENTION) / 3600) * 3600

    @invariant()
    def same(self) -> None:
        """All samples that must still be there are there, and no others."""
        for host in ("web", "db"):
            with self.database.read() as connection:
                found = self.history.query(connection, host, start=self.horizon(), end=4e9, limit=ENDLESS)
            there = {
                (series.check, repr(sorted(series.labels.items()))): {
                    round(time * 1000): value
                    for time, value in zip(series.times, series.values, strict=True)
                    if value is not None
                }
                for series in found
            }
            recent = {
                key: {time: value for time, value in samples.items() if time >= self.horizon() * 1000}
                for key, samples in self.model[host].items()
            }
            assert there == {key: samples for key, samples in recent.items() if samples}


Beside.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
test_any_sequence = Beside.TestCase
