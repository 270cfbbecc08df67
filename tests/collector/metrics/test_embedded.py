"""What the history in home's database keeps, gives back and lets go."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select, update

from collector.api.shapes import Series
from collector.metrics import embedded, tables
from collector.metrics.contract import Arrival, Bounds, Dropped, History
from collector.metrics.embedded import AHEAD, EmbeddedHistory
from collector.store.database import Database
from wire.report import Reading

NOON = 1_700_049_600.0
"""The start of an hour."""
DAY = 86_400.0


def reading(value: float, time: float, name: str = "cpu_used_percent", **labels: str) -> Reading:
    return Reading(check="cpu", name=name, value=value, unit="percent", labels=labels, time=time)


def append(
    database: Database, history: History, readings: Sequence[Reading], *, host: str = "web", now: float | None = None
) -> list[Dropped]:
    with database.write() as connection:
        newest = max(reading.time for reading in readings) if now is None else now
        return history.append(connection, [Arrival(host, readings)], newest)


def compact(database: Database, history: History, now: float, blocks: int = 100) -> int:
    with database.write() as connection:
        return history.compact(connection, now, blocks=blocks)


def expire(database: Database, history: History, now: float) -> int:
    """Until there is nothing more to do; gives how many blocks went."""
    gone = 0
    while True:
        with database.write() as connection:
            removed = history.expire(connection, now)
        if not removed:
            return gone
        gone += removed


def ask(
    database: Database, history: History, host: str = "web", *, start: float = 0.0, end: float = 4e9, **more: object
) -> list[Series]:
    with database.read() as connection:
        return history.query(connection, host, start=start, end=end, **more)  # type: ignore[arg-type]


def rows(database: Database, table: object) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]


def points(series: Series) -> list[tuple[float, float | None]]:
    return list(zip(series.times, series.values, strict=True))


@pytest.fixture
def history() -> EmbeddedHistory:
    return EmbeddedHistory(Bounds(retention=10 * DAY, series=5))


def test_readings_come_back_as_they_were_given(database: Database, history: EmbeddedHistory) -> None:
    """With the series' identity, from the journal and, once the hour has closed, from its block."""
    append(database, history, [reading(12.5, NOON + 0.25, core="0"), reading(13.5, NOON + 0.25, core="1")])
    append(database, history, [reading(-0.0, NOON + 15.25, core="0")])
    before = ask(database, history)
    assert [(s.check, s.name, s.unit, s.labels, points(s)) for s in before] == [
        ("cpu", "cpu_used_percent", "percent", {"core": "0"}, [(NOON + 0.25, 12.5), (NOON + 15.25, -0.0)]),
        ("cpu", "cpu_used_percent", "percent", {"core": "1"}, [(NOON + 0.25, 13.5)]),
    ]
    assert compact(database, history, NOON + 4000) == 1
    assert rows(database, tables.journal) == 0
    assert ask(database, history) == before


def test_hosts_do_not_mix(database: Database, history: EmbeddedHistory) -> None:
    """Readings of the same series on two hosts are two series."""
    with database.write() as connection:
        arrivals = [Arrival("web", [reading(1, NOON)]), Arrival("db", [reading(2, NOON)]), Arrival("idle", [])]
        assert history.append(connection, arrivals, NOON) == []
    assert [points(s) for s in ask(database, history, "web")] == [[(NOON, 1)]]
    assert [points(s) for s in ask(database, history, "db")] == [[(NOON, 2)]]
    assert ask(database, history, "idle") == ask(database, history, "nowhere") == []


def test_the_order_of_labels_does_not_tell_series_apart(database: Database, history: EmbeddedHistory) -> None:
    """But another unit does: values in it cannot be drawn on one line."""
    append(database, history, [reading(1, NOON, a="1", b="2")])
    append(database, history, [reading(2, NOON + 15, b="2", a="1")])
    append(
        database,
        history,
        [Reading(check="cpu", name="cpu_used_percent", value=3, labels={"a": "1", "b": "2"}, time=NOON)],
    )
    assert [(s.unit, points(s)) for s in ask(database, history)] == [
        ("", [(NOON, 3)]),
        ("percent", [(NOON, 1), (NOON + 15, 2)]),
    ]


def test_of_two_samples_at_one_time_the_later_arrival_counts(database: Database, history: EmbeddedHistory) -> None:
    """Within a report, between reports, and between a block and what came after it."""
    append(database, history, [reading(1, NOON), reading(2, NOON)])
    assert points(ask(database, history)[0]) == [(NOON, 2)]
    append(database, history, [reading(3, NOON)])
    assert points(ask(database, history)[0]) == [(NOON, 3)]
    compact(database, history, NOON + 4000)
    append(database, history, [reading(4, NOON)], now=NOON + 4000)
    assert points(ask(database, history)[0]) == [(NOON, 4)]
    compact(database, history, NOON + 8000)
    assert points(ask(database, history)[0]) == [(NOON, 4)]


def test_a_report_that_spans_the_turn_of_an_hour_is_kept_whole(database: Database, history: EmbeddedHistory) -> None:
    """Each reading in its own hour, also one that is rounded up into the next."""
    times = [NOON - 0.0004, NOON - 1, NOON + 1, NOON - 0.0006]
    append(database, history, [reading(n, time, core=str(n)) for n, time in enumerate(times)])
    found = {s.labels["core"]: points(s) for s in ask(database, history)}
    assert found == {"0": [(NOON, 0)], "1": [(NOON - 1, 1)], "2": [(NOON + 1, 2)], "3": [(NOON - 0.001, 3)]}
    assert compact(database, history, NOON + 4000) == 2
    assert {s.labels["core"]: points(s) for s in ask(database, history)} == found


def test_late_readings_join_the_block_of_their_hour(database: Database, history: EmbeddedHistory) -> None:
    """A spool that is delivered days later fills the hole that it left."""
    append(database, history, [reading(1, NOON), reading(3, NOON + 30)])
    compact(database, history, NOON + 4000)
    append(database, history, [reading(2, NOON + 15), reading(7, NOON + 15, core="9")], now=NOON + 2 * DAY)
    whole = [(NOON, 1), (NOON + 15, 2), (NOON + 30, 3)]
    assert [points(s) for s in ask(database, history)] == [[(NOON + 15, 7)], whole]
    before = ask(database, history)
    assert compact(database, history, NOON + 2 * DAY + 400) == 1
    assert ask(database, history) == before
    assert rows(database, tables.blocks) == 1


def test_an_hour_that_is_open_or_still_fed_stays_in_the_journal(database: Database, history: EmbeddedHistory) -> None:
    """Rolling it up again for each report would cost a block's work each time; but no hour waits for ever."""
    append(database, history, [reading(1, NOON + 3590)])
    assert compact(database, history, NOON + 3599) == 0
    append(database, history, [reading(2, NOON + 3591)], now=NOON + 3700)
    assert compact(database, history, NOON + 3999) == 0
    assert compact(database, history, NOON + 4000) == 1

    for minute in range(65):  # a spool of yesterday that is delivered slowly
        append(database, history, [reading(3, NOON - DAY + minute)], now=NOON + 60 * minute)
        assert compact(database, history, NOON + 60 * minute) == 0
    append(database, history, [reading(3, NOON - DAY + 65)], now=NOON + 3900)
    assert compact(database, history, NOON + 3900) == 1


def test_compacting_does_no_more_than_it_is_told(database: Database, history: EmbeddedHistory) -> None:
    """The oldest hours first, so many at a time, until all are done."""
    for hour in range(5):
        append(database, history, [reading(hour, NOON + 3600 * hour)])
    before = ask(database, history)
    now = NOON + DAY
    assert [compact(database, history, now, blocks=2) for _ in range(4)] == [2, 2, 1, 0]
    assert ask(database, history) == before


def test_an_hour_of_one_host_is_bounded(
    database: Database, history: EmbeddedHistory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is read, when it becomes a block, and when more comes late: no host fills home's memory."""
    monkeypatch.setattr(embedded, "MAX_SAMPLES", 100)
    for late in (0, 2):
        for number in range(200):
            append(database, history, [reading(1.0, NOON + number / 100)], now=NOON + late * 3600)
        [series] = ask(database, history)
        assert series.times == [NOON + number / 100 for number in range(100)]
        compact(database, history, NOON + (late + 2) * 3600)
    assert "is full" in caplog.text
    assert rows(database, tables.journal) == 0


def test_series_beyond_the_bound_are_dropped_and_counted(database: Database, history: EmbeddedHistory) -> None:
    """The series that are there go on, and nothing of the others is kept."""
    flood = [reading(n, NOON, core=str(n)) for n in range(8)]
    assert append(database, history, flood) == [Dropped("web", "series", 3)]
    assert append(database, history, flood[::-1], now=NOON) == [Dropped("web", "series", 3)]
    assert append(database, history, flood, host="db") == [Dropped("db", "series", 3)]
    assert append(database, history, flood[6:], host="web") == [Dropped("web", "series", 2)]
    assert [s.labels["core"] for s in ask(database, history)] == ["0", "1", "2", "3", "4"]
    assert rows(database, tables.series) == 10


def test_a_host_with_a_clock_in_another_age_is_refused(database: Database, history: EmbeddedHistory) -> None:
    """Readings of 2050 or 1970 are counted and leave no trace; a day ahead is taken."""
    readings = [
        reading(1, NOON, core="0"),
        reading(2, NOON + 27 * 365 * DAY, core="1"),
        reading(3, 0.0, core="2"),
        reading(4, NOON + AHEAD + 1, core="3"),
        reading(5, NOON + AHEAD, core="4"),
    ]
    assert sorted(append(database, history, readings, now=NOON)) == [
        Dropped("web", "future", 2),
        Dropped("web", "past", 1),
    ]
    assert [s.labels["core"] for s in ask(database, history)] == ["0", "4"]
    assert rows(database, tables.series) == 2
    assert append(database, history, readings[2:3], now=NOON) == [Dropped("web", "past", 1)]


def test_nothing_is_remembered_of_a_transaction_that_was_rolled_back(
    database: Database, history: EmbeddedHistory
) -> None:
    """Else readings would be stored under series that are in no table."""
    with pytest.raises(RuntimeError), database.write() as connection:
        history.append(connection, [Arrival("web", [reading(1, NOON, core="lost")])], NOON)
        raise RuntimeError("the disk is full")
    history.rolled_back()
    append(database, history, [reading(2, NOON, core="kept"), reading(3, NOON, core="lost")])
    assert [(s.labels, points(s)) for s in ask(database, history)] == [
        ({"core": "kept"}, [(NOON, 2)]),
        ({"core": "lost"}, [(NOON, 3)]),
    ]


def test_a_restart_knows_the_series(database: Database, history: EmbeddedHistory) -> None:
    """Another process goes on with the same numbers."""
    append(database, history, [reading(n, NOON, core=str(n)) for n in range(3)])
    again = EmbeddedHistory(history.bounds)
    append(database, again, [reading(n + 10, NOON + 15, core=str(n)) for n in reversed(range(4))])
    assert rows(database, tables.series) == 4
    assert {s.labels["core"]: points(s) for s in ask(database, again)} == {
        "0": [(NOON, 0), (NOON + 15, 10)],
        "1": [(NOON, 1), (NOON + 15, 11)],
        "2": [(NOON, 2), (NOON + 15, 12)],
        "3": [(NOON + 15, 13)],
    }


def test_what_is_older_than_the_retention_goes(database: Database, history: EmbeddedHistory) -> None:
    """Hour by hour, and nothing else."""
    for day in range(12):
        append(database, history, [reading(day, NOON + day * DAY)])
    compact(database, history, NOON + 12 * DAY)
    assert expire(database, history, NOON + 12 * DAY) == 2
    assert points(ask(database, history)[0])[0] == (NOON + 2 * DAY, 2)
    assert expire(database, history, NOON + 12 * DAY) == 0


def test_beyond_its_size_the_oldest_hours_go_first(database: Database) -> None:
    """Whatever the retention says."""
    roomy = EmbeddedHistory()
    for hour in range(10):
        append(database, roomy, [reading(n, NOON + 3600 * hour, core=str(n)) for n in range(20)])
    compact(database, roomy, NOON + DAY)
    with database.read() as connection:
        sizes = list(connection.execute(select(tables.blocks.c.size).order_by(tables.blocks.c.hour)).scalars())
    tight = EmbeddedHistory(Bounds(size=sum(sizes[4:])))
    assert expire(database, tight, NOON + DAY) == 4
    assert ask(database, tight)[0].times[0] == NOON + 4 * 3600


def test_series_without_samples_make_room_for_others(database: Database, history: EmbeddedHistory) -> None:
    """Interfaces and volumes come and go: five series at a time, not five ever. Values never change owner."""
    append(database, history, [reading(n, NOON, core=str(n)) for n in range(5)])
    compact(database, history, NOON + 4000)
    later = NOON + 12 * DAY
    for quarter in range(13 * 24):
        append(database, history, [reading(quarter, NOON + 3600 * quarter, core="0")])
        compact(database, history, NOON + 3600 * quarter)
    # Known to the journal alone, and stale by its table row: it must survive.
    append(database, history, [reading(41, later + DAY, core="4")])
    assert append(database, history, [reading(50, later + DAY, core="50")]) == [Dropped("web", "series", 1)]
    assert expire(database, history, later + DAY) > 0
    assert append(database, history, [reading(51, later + DAY, core="51")]) == []
    found = {s.labels["core"]: points(s) for s in ask(database, history, start=later)}
    assert found["51"] == [(later + DAY, 51)]
    assert found["4"] == [(later + DAY, 41)]
    assert set(found) == {"0", "4", "51"}
    assert rows(database, tables.series) == 3


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"HWB1nonsense"])
def test_a_damaged_block_costs_its_hour(
    database: Database, history: EmbeddedHistory, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The other hours are shown, the log says which is lost, and late readings of that hour can be stored."""
    for hour in range(3):
        append(database, history, [reading(hour, NOON + 3600 * hour)])
    compact(database, history, NOON + DAY)
    broken = int(NOON // 3600) + 1
    with database.write() as connection:
        connection.execute(update(tables.blocks).where(tables.blocks.c.hour == broken).values(body=damage))
    with caplog.at_level(logging.ERROR):
        found = [point for point in points(ask(database, history)[0]) if point[1] is not None]
    assert found == [(NOON, 0), (NOON + 7200, 2)]
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        f"history of host web, hour {broken} since the epoch, is lost"
    ]
    append(database, history, [reading(7, NOON + 3660)], now=NOON + DAY)
    compact(database, history, NOON + DAY + 400)
    assert (NOON + 3660, 7) in points(ask(database, history)[0])


def test_a_damaged_row_costs_its_report(
    database: Database, history: EmbeddedHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of the hour is shown and rolled up."""
    append(database, history, [reading(1, NOON)])
    append(database, history, [reading(2, NOON + 15)])
    with database.write() as connection:
        connection.execute(update(tables.journal).where(tables.journal.c.id == 1).values(body=b"short"))
    with caplog.at_level(logging.ERROR):
        assert points(ask(database, history)[0]) == [(NOON + 15, 2)]
        assert compact(database, history, NOON + DAY) == 1
        assert points(ask(database, history)[0]) == [(NOON + 15, 2)]
    assert len(caplog.records) == 2
    assert "a row of 5 bytes" in caplog.text


def test_a_query_picks_series_and_times(database: Database, history: EmbeddedHistory) -> None:
    """By check, name and labels; from the start on, up to but not at the end."""
    append(
        database,
        history,
        [
            Reading(
                check="disk", name="disk_used_percent", value=1, labels={"mount": "/", "device": "sda"}, time=NOON
            ),
            Reading(check="disk", name="disk_used_percent", value=2, labels={"mount": "/var"}, time=NOON + 1),
            Reading(check="disk", name="disk_free_bytes", value=3, labels={"mount": "/"}, time=NOON + 2),
            Reading(check="backup", name="disk_free_bytes", value=4, time=NOON + 3),
        ],
    )

    def values(**more: object) -> list[float | None]:
        return [value for series in ask(database, history, **more) for value in series.values]  # type: ignore[arg-type]

    assert values() == [4, 3, 1, 2]
    assert values(check="disk") == [3, 1, 2]
    assert values(name="disk_free_bytes") == [4, 3]
    assert values(check="disk", name="disk_free_bytes") == [3]
    assert values(labels={"mount": "/"}) == [3, 1]
    assert values(labels={"mount": "/", "device": "sda"}) == [1]
    assert values(labels={"mount": "/srv"}) == values(name="nothing") == []
    assert values(start=NOON + 1, end=NOON + 3) == [3, 2]
    assert values(start=NOON + 3, end=NOON + 3) == values(start=NOON + 3, end=NOON) == []


def test_a_hole_between_samples_is_shown(database: Database, history: EmbeddedHistory) -> None:
    """A line must not be drawn across the hours in which nothing was measured."""
    for time in (0, 15, 30, 75, 90, 150, 165):  # 45 s may be a lost report, 60 s are a hole
        append(database, history, [reading(time, NOON + time)])
    assert points(ask(database, history)[0]) == [
        *((NOON + time, time) for time in (0, 15, 30, 75, 90)),
        (NOON + 105, None),
        *((NOON + time, time) for time in (150, 165)),
    ]


def test_steps_give_means_on_one_grid(database: Database, history: EmbeddedHistory) -> None:
    """Multiples of the step, the same for all series; None where nothing was measured."""
    append(database, history, [reading(1, NOON + 10, core="0"), reading(5, NOON + 20, core="0")])
    append(database, history, [reading(7, NOON + 130, core="0"), reading(0.1, NOON + 61, core="1")])
    append(database, history, [reading(0.1, NOON + 62, core="1"), reading(0.1, NOON + 63, core="1")])
    found = ask(database, history, start=NOON + 5, end=NOON + 185, step=60)
    assert [s.times for s in found] == [[NOON, NOON + 60, NOON + 120, NOON + 180]] * 2
    assert [s.values for s in found] == [[3, None, 7, None], [None, 0.1, None, None]]


def test_the_points_of_an_answer_are_bounded(database: Database, history: EmbeddedHistory) -> None:
    """A wide range is thinned by itself, and a step that is too fine is widened to a multiple of it."""
    for time in range(0, 1200, 10):
        append(database, history, [reading(time, NOON + time, core="0"), reading(1, NOON + time, core="1")])
    append(database, history, [reading(1, NOON + 2000, core="elsewhere")])
    span = {"start": NOON, "end": NOON + 1200}
    assert [len(s.times) for s in ask(database, history, **span, limit=240)] == [120, 120]
    assert [len(s.times) for s in ask(database, history, **span, step=10, limit=240)] == [120, 120]
    thinned = ask(database, history, **span, limit=40)
    assert [len(s.times) for s in thinned] == [20, 20]
    assert thinned[0].values[:2] == [25, 85]
    widened = ask(database, history, **span, step=25, limit=40)
    assert [len(s.times) for s in widened] == [16, 16]
    assert widened[0].times[1] - widened[0].times[0] == 75
    assert [len(s.times) for s in ask(database, history, **span, limit=1)] == [1, 1]


def test_more_series_than_have_numbers_are_no_bound() -> None:
    """The mistake is told where it is made, not by the 65,537th series."""
    with pytest.raises(ValueError, match="1 to 65536 series, not 65537"):
        EmbeddedHistory(Bounds(series=65_537))
