"""What is wrong with a job or a drill."""

from __future__ import annotations

from typing import Any

import pytest

from collector.rules.backup_state import UNVERIFIED, Finding, coarse, judge, worst
from collector.rules.backups import DrillStanding, JobStanding, take_drill, take_run
from tests.collector.ran import DAY, HOUR, drill, failed, run
from tests.collector.support import NOW
from wire.report import BackupRun, Drill


def job(*given: BackupRun) -> JobStanding:
    standing: JobStanding | None = None
    for one in given:
        standing, _ = take_run(standing, [], one, received=one.finished, newest=True)
    assert standing is not None
    return standing


def plan(given: Drill) -> tuple[str, DrillStanding]:
    return given.name, take_drill(None, [], given, received=given.finished, newest=True)[0]


def said(standing: JobStanding | None, *drills: Drill, now: float = NOW, quiet: bool = False) -> dict[str, Finding]:
    """By code."""
    found = judge(standing, [plan(one) for one in drills], now=now, quiet=quiet)
    return {finding.code: finding for finding in found}


def test_nothing_is_wrong_with_a_job_that_ran_and_a_drill_that_held() -> None:
    assert said(job(run()), drill()) == {}
    assert worst([]) == "ok"


def test_a_failed_run_is_critical_and_an_incomplete_one_a_warning() -> None:
    found = said(job(run(ended=NOW - DAY), failed()))
    assert (found["failed"].state, found["failed"].text) == ("critical", "The last run failed: no such host")
    partial = run(outcome="partial", message="", last_success=NOW - DAY)
    found = said(job(run(ended=NOW - DAY), partial))
    assert [(finding.state, finding.text) for finding in found.values()] == [
        ("warning", "The last run was not complete.")
    ]


@pytest.mark.parametrize(
    ("late", "state"),
    [(0.0, None), (1100.0, None), (1300.0, "warning"), (23 * HOUR, "warning"), (DAY + 700, "critical")],
)
def test_a_late_run_is_a_warning_and_one_that_missed_its_second_turn_is_critical(
    late: float, state: str | None
) -> None:
    """It has twice the time that it takes, and a quarter of an hour at least."""
    standing = job(run())
    due = standing.last.next
    assert due is not None
    found = said(standing, now=due + late)
    assert found.get("overdue") == (
        None if state is None else Finding(code="overdue", state=state, text="Overdue since", time=due)  # type: ignore[arg-type]
    )


def test_a_job_without_a_timetable_is_never_late() -> None:
    assert "overdue" not in said(job(run(next=None)), now=NOW + 30 * DAY)


def test_a_silent_host_whose_backup_is_due_is_critical_at_once() -> None:
    """Nobody will make up for it. A silent host whose backup is not due is another page's matter."""
    standing = job(run())
    found = said(standing, now=NOW + DAY, quiet=True)
    assert found["silent"].state == "critical"
    assert said(standing, now=NOW, quiet=True) == {}


def test_a_target_that_is_missed_now_is_critical_whatever_the_last_drill_found() -> None:
    """The strictest target of several drills counts."""
    standing = job(run(next=None))
    drills = drill(rpo=5 * HOUR), drill("strict", rpo=2 * HOUR)
    assert said(standing, *drills) == {}
    found = said(standing, *drills, now=NOW + HOUR)
    assert list(found) == ["point_missed"]
    assert (found["point_missed"].state, found["point_missed"].time) == ("critical", standing.point)
    assert "2h" in found["point_missed"].text


def test_what_was_not_verified_for_long_is_a_warning() -> None:
    """Once, or ever; how long that is can be chosen."""
    standing = job(run(next=None))
    chosen = judge(standing, [], now=NOW + DAY, quiet=False, unverified=DAY)
    assert [finding.code for finding in chosen] == ["unverified"]
    assert said(standing, now=NOW + UNVERIFIED)["unverified"].time == standing.last_verified
    never = job(run(next=None, verified=False, last_verified=None))
    assert said(never) == {}
    assert said(never, now=NOW + UNVERIFIED)["unverified"].time is None


def test_a_job_that_never_saved_everything_says_so() -> None:
    found = said(job(run(outcome="partial", last_success=None)))
    assert set(found) == {"partial", "no_success"}
    assert "no_success" not in said(job(failed(last_success=None)))


def test_a_drill_that_was_not_run_is_as_bad_as_one_that_failed() -> None:
    missed = said(job(run(next=None)), drill(next=NOW - DAY))["drill_overdue"]
    bad = said(job(run(next=None)), drill(outcome="failed", message="1 file differs"))["drill_failed"]
    assert missed.state == bad.state == "critical"
    assert missed.time == NOW - DAY
    assert bad.text == "Drill weekly failed: 1 file differs"


@pytest.mark.parametrize(
    ("fields", "code", "state", "words"),
    [
        ({"recovery_time": 2 * HOUR}, "drill_time_missed", "critical", "about 2h; the target is 1h"),
        ({"recovery_time": 2 * HOUR, "estimated": False}, "drill_time_missed", "critical", "after 2h"),
        ({"recovery_point": 40 * HOUR}, "drill_point_missed", "warning", "1d16h old; the target is 1d6h"),
    ],
)
def test_a_drill_that_misses_its_targets_says_by_how_much(
    fields: dict[str, Any], code: str, state: str, words: str
) -> None:
    found = said(job(run()), drill(**fields))
    assert list(found) == [code]
    assert found[code].state == state
    assert words in found[code].text


def test_drills_of_a_job_that_never_reported_a_run_say_that() -> None:
    assert list(said(None, drill())) == ["no_job"]


def test_the_worst_comes_first() -> None:
    findings = judge(
        job(run(ended=NOW - DAY), run(outcome="partial", last_success=NOW - DAY)),
        [plan(drill(outcome="failed"))],
        now=NOW,
        quiet=False,
    )
    assert [finding.state for finding in findings] == ["critical", "warning"]
    assert worst(findings) == "critical"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (3599, "59m59s"), (3661, "1h1m"), (2 * DAY + 1801, "2d1h"), (90 * DAY, "90d")],
)
def test_a_span_is_told_as_people_tell_it(seconds: float, text: str) -> None:
    assert coarse(seconds) == text
