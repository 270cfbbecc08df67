"""What a run or a drill changes of what home knows."""

from __future__ import annotations

import pytest

from collector.rules.backups import (
    KEPT_DAYS,
    KEPT_DRILLS,
    DrillPoint,
    DrillStanding,
    JobStanding,
    SizePoint,
    growth_per_day,
    take_drill,
    take_run,
    trend,
)
from tests.collector.ran import DAY, HOUR, drill, failed, run
from tests.collector.support import NOW
from wire.report import BackupRun, Drill


def runs(*given: BackupRun) -> tuple[JobStanding, list[SizePoint]]:
    """After all of them, each received an hour after it ended."""
    standing: JobStanding | None = None
    points: list[SizePoint] = []
    for one in given:
        standing, points = take_run(standing, points, one, received=one.finished + HOUR, newest=True)
    assert standing is not None
    return standing, points


def drills(*given: Drill) -> tuple[DrillStanding, list[DrillPoint]]:
    """After all of them."""
    standing: DrillStanding | None = None
    points: list[DrillPoint] = []
    for one in given:
        standing, points = take_drill(standing, points, one, received=one.finished + HOUR, newest=True)
    assert standing is not None
    return standing, points


def test_what_comes_back_is_as_of_the_beginning_of_the_last_run_that_saved_everything() -> None:
    """A file that changes while a run is under way may be in it as it was at the beginning."""
    good, partial = run(ended=NOW - 3 * DAY), run(ended=NOW - 2 * DAY, outcome="partial", last_success=NOW - 3 * DAY)
    standing, _ = runs(good, partial, failed(ended=NOW - DAY, last_success=NOW - 3 * DAY))
    assert standing.point == good.started
    assert (standing.failures, standing.first) == (2, good.finished + HOUR)
    assert runs(good, partial, run(ended=NOW))[0].failures == 0


def test_a_host_that_lost_its_memory_does_not_make_home_forget() -> None:
    """Its next runs tell of no success; home had heard of one."""
    good = run(ended=NOW - 2 * DAY)
    standing, _ = runs(good, failed(last_success=None, last_verified=None))
    assert (standing.last_success, standing.last_verified) == (good.finished, good.started)


def test_a_job_whose_first_report_is_of_a_failure_still_has_what_its_host_says_was_saved() -> None:
    standing, points = runs(failed(last_success=NOW - 5 * DAY))
    assert (standing.point, standing.last_success, points) == (NOW - 5 * DAY, NOW - 5 * DAY, [])


def test_a_run_out_of_an_older_stream_replaces_only_what_ended_before_it() -> None:
    """What a host had set aside comes late."""
    standing, points = runs(run(ended=NOW))
    late = failed(ended=NOW - DAY)
    assert take_run(standing, points, late, received=NOW, newest=False) == (standing, points)
    later = failed(ended=NOW + DAY)
    assert take_run(standing, points, later, received=NOW, newest=False)[0].last == later


def test_the_time_that_a_run_may_take_follows_the_longest_of_late() -> None:
    long, short = run(started=NOW - 1000, ended=NOW), run(started=NOW + DAY - 10, ended=NOW + DAY)
    assert runs(long, short)[0].took == 800
    assert runs(short, long)[0].took == 1000


def test_sizes_are_kept_by_day_and_growth_is_over_a_month() -> None:
    """The last snapshot of a day counts, and what all of its runs added."""
    given = [
        run(ended=day * DAY + hour * HOUR, bytes=1000 * day, bytes_added=10) for day in range(100) for hour in (1, 2)
    ]
    standing, points = runs(*given)
    assert [point.day for point in points] == list(range(100 - KEPT_DAYS, 100))
    assert points[-1] == SizePoint(99, 99_000, 20)
    assert (standing.growth, standing.added) == (1000, 20)


def test_one_day_says_nothing_of_growth() -> None:
    assert growth_per_day([SizePoint(1, 5, 5)]) == (None, None)
    assert growth_per_day([]) == (None, None)
    assert growth_per_day([SizePoint(1, 5, 5), SizePoint(100, 9, 9)]) == (None, None)


def test_days_that_were_told_by_a_wrong_clock_go_when_it_is_set() -> None:
    _, points = runs(run(ended=900 * DAY), run(ended=20 * DAY))
    assert [point.day for point in points] == [20]


def test_a_failed_run_has_no_size() -> None:
    """Else each failure would show as data that is gone."""
    standing, points = runs(run(ended=NOW - DAY), failed(ended=NOW))
    assert [point.bytes for point in points] == [1 << 30]
    assert (standing.bytes, standing.files) == (1 << 30, 100)


def test_a_drill_is_measured_against_what_is_usual() -> None:
    """A quarter more than the median of the last ones that held; a failure measures nothing."""
    times = (400.0, 100.0, 110.0, 90.0, 100.0, 125.0)
    given = [drill(ended=NOW + number * DAY, recovery_time=time) for number, time in enumerate(times)]
    standing, points = drills(*given)
    assert standing.trend == pytest.approx(0.25)
    assert len(points) == 6
    bad = drill(ended=NOW + 9 * DAY, outcome="failed", recovery_time=None)
    standing, points = take_drill(standing, points, bad, received=NOW, newest=True)
    assert (standing.trend, standing.failures, standing.held) == (None, 1, given[-1].finished)
    assert (standing.recovery_time, standing.estimated) == (125.0, True)
    assert trend(points[:1]) is None


def test_a_trend_keeps_the_newest() -> None:
    _, points = drills(*(drill(ended=NOW + number) for number in range(KEPT_DRILLS + 3)))
    assert [point.time for point in points] == [NOW + number for number in range(3, KEPT_DRILLS + 3)]


def test_a_drill_out_of_an_older_stream_replaces_nothing_newer() -> None:
    standing, points = drills(drill(ended=NOW))
    old = drill(ended=NOW - DAY, outcome="failed")
    assert take_drill(standing, points, old, received=NOW, newest=False) == (standing, points)
