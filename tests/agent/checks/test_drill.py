"""How drills stand, by what is on record of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.backups.plan import Planned, encode, schedule_of
from agent.backups.records import Begun, Book
from agent.checks.contract import CheckError, Context, Sample
from agent.checks.drill import DrillCheck, DrillCheckOptions, Standing, derive
from agent.checks.registry import load
from agent.checks.runner import judge, plan
from agent.config.defaults import effective_checks
from agent.config.drills import DrillOptions
from agent.config.load import load as load_configuration
from agent.paths import System
from wire.report import CheckState, Drill

DAY = 86400.0
NIGHT = 20000 * DAY + 2 * 3600
"""02:00 UTC."""
DRILL = DrillOptions(backup="shop", daily="02:00", timezone="UTC")


def planned(since: float = -100, drill: DrillOptions = DRILL) -> Planned:
    schedule = schedule_of(drill) if drill.enabled else {}
    return Planned(name="shop", since=NIGHT + since * DAY, schedule=schedule, patience=drill.patience)


def done(day: float = 0.0, **fields: Any) -> Drill:
    started = NIGHT + day * DAY
    facts = {"outcome": "done", "recovery_point": 600.0, "recovery_time": 60.0, "rpo": 3600.0, "rto": 3600.0}
    return Drill(
        name="shop",
        job="shop",
        kind="sample",
        repository="/srv/backup",
        started=started,
        finished=started + 60,
        **{**facts, **fields},
    )


def of(*runs: Drill, day: float = 0.5, plan: Planned | None = None, begun: float = 0.0) -> Sample:
    return derive([Standing(plan or planned(), runs, begun)], now=NIGHT + day * DAY, host="h")


def stands(*runs: Drill, **about: Any) -> CheckState:
    """The verdict."""
    options = DrillCheckOptions()
    (one,) = plan({"drill": options})
    now = NIGHT + about.get("day", 0.5) * DAY
    return judge(one, of(*runs, **about), None, now=now, ticks=1.0, duration=0.0).state


def sample(_: Path) -> Sample:
    """One with every reading."""
    return of(done())


def test_a_drill_that_did_well_is_ok() -> None:
    """With its measures."""
    found = {each.name: each.value for each in of(done()).measurements}
    assert found["backup_recovery_point_seconds"] == 600
    assert found["backup_recovery_time_target_percent"] == pytest.approx(100 / 60)
    assert found["backup_drill_overdue_seconds"] == 0
    assert (stands(done()).state, stands(done()).message) == ("ok", "1 drill, the last one 11h59m ago")


@pytest.mark.parametrize(
    ("drill", "state", "words"),
    [
        (done(outcome="failed", message="2 files differ"), "critical", "shop failed 11h59m ago: 2 files differ"),
        (done(recovery_point=5400.0), "warning", "shop: the age of what came back is 150 % of rpo"),
        (done(recovery_time=7300.0), "critical", "shop: the time until all is back is 203 % of rto"),
        (done(recovery_point=1e6, rpo=None), "ok", "1 drill"),
        (done(recovery_point=None, recovery_time=None), "ok", "1 drill"),
    ],
)
def test_what_came_back_is_held_against_its_targets(drill: Drill, state: str, words: str) -> None:
    """Beyond a target is a warning, twice as much critical; without a target nothing is judged."""
    found = stands(drill)
    assert found.state == state
    assert words in found.message


@pytest.mark.parametrize(("day", "state"), [(1.0, "ok"), (1.04, "ok"), (1.05, "critical"), (3.0, "critical")])
def test_a_drill_that_was_not_done_when_it_was_due_is_as_bad_as_one_that_failed(day: float, state: str) -> None:
    """An hour after its time."""
    found = stands(done(), day=day)
    assert found.state == state
    assert ("shop was due" in found.message) == (state == "critical")


def test_a_drill_that_was_never_done_shows_as_clearly() -> None:
    """But before its first time there was nothing to do."""
    assert stands(plan=planned(since=-0.5), day=-0.1).message == "1 drill, none done yet"
    never = stands(plan=planned(since=-0.5), day=0.5)
    assert never.state == "critical"
    assert "shop was due 12h ago and has not begun" in never.message


def test_a_drill_that_goes_on_is_not_overdue() -> None:
    """However long it takes: its own limit ends it."""
    assert stands(done(-1.0), day=0.5, begun=NIGHT).state == "ok"


def test_a_clock_that_was_ahead_once_hides_no_drill_that_was_not_done() -> None:
    """The one that was done before counts."""
    assert stands(done(), done(1000), day=1.5).state == "critical"
    assert stands(done(), done(1000), day=0.5).state == "ok"


def test_a_drill_that_is_turned_off_is_left_out(tmp_path: Path) -> None:
    """Also one that failed before."""
    book = Book(tmp_path, "drills", Drill)
    book.begin(Begun(name="shop", started=NIGHT, by="hand")).end(lambda _: done(outcome="failed"))
    check, context = DrillCheck(DrillCheckOptions()), Context(System(state_folder=tmp_path), NIGHT + DAY)
    book.note(encode([planned()]))
    assert any(finding.state == "critical" for finding in check.collect(context).findings)
    off = DrillOptions(backup="shop", daily="02:00", enabled=False)
    book.note(encode([planned(drill=off)]))
    assert check.collect(context) == Sample(summary="no drill is configured", measurements=[], findings=[])


def test_a_full_drill_once_a_quarter_is_held_to_the_calendar() -> None:
    """Done in January, it is next due in April, and not before."""
    drill = DrillOptions(backup="shop", quarterly="first sunday 01:00", timezone="UTC")
    january = 20092 * DAY  # 4 January 2025 was a Saturday
    started = january + DAY + 3600
    standing = Standing(
        Planned(name="shop", since=january - DAY, schedule=schedule_of(drill), patience=1.0),
        [done((started - NIGHT) / DAY)],
        0.0,
    )
    for day, expected in ((60, 0.0), (91, 0.0), (93, DAY * 93 - (92 * DAY + 3600))):
        (found,) = (
            each.value
            for each in derive([standing], now=january + day * DAY, host="h").measurements
            if each.name == "backup_drill_overdue_seconds"
        )
        assert found == expected, day


def test_it_belongs_on_hosts_with_drills(tmp_path: Path) -> None:
    """And nowhere else."""
    file = tmp_path / "agent.toml"
    file.touch()
    assert "drill" not in effective_checks(load_configuration(file), System(tmp_path))
    file.write_text(
        '[backups.shop]\nrepository = "/srv/backup"\npaths = ["/etc"]\n'
        '[drills.shop]\nbackup = "shop"\ndaily = "02:00"\n'
    )
    assert "drill" in effective_checks(load_configuration(file), System(tmp_path))
    assert load("drill") is DrillCheck


def test_a_state_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Instead of a check that finds all well."""
    (tmp_path / "drills").touch()
    with pytest.raises(CheckError, match="run as the agent's user or as root"):
        DrillCheck(DrillCheckOptions()).collect(Context(System(state_folder=tmp_path), NIGHT))
