"""How the backup jobs do, by what is on record of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.backups.job.history import lost, with_ages
from agent.backups.plan import Planned, encode, schedule_of, with_since
from agent.backups.records import Begun, Book
from agent.checks.backup import BackupCheck, BackupCheckOptions, Known, derive
from agent.checks.contract import CheckError, Context, Override, Sample, Threshold
from agent.checks.registry import load
from agent.checks.runner import judge, plan
from agent.config.backups import BackupOptions
from agent.config.defaults import effective_checks
from agent.config.load import load as load_configuration
from agent.paths import System
from kit.units import Duration
from wire.report import BackupRun, CheckState

DAY = 86400.0
NIGHT = 20000 * DAY + 2 * 3600
"""02:00 UTC."""
JOB = BackupOptions(repository="/srv/backup", paths=("/etc",), daily="02:00", timezone="UTC")
HOURLY = BackupOptions(repository="/srv/backup", paths=("/etc",), every=Duration(3600))


def planned(since: float = NIGHT - 100 * DAY, *, verifies: bool = False, job: BackupOptions = JOB) -> Planned:
    return Planned(
        name="etc",
        since=since,
        schedule=schedule_of(job),
        patience=90000.0,
        verifies_since=since if verifies else None,
    )


def ran(*nights: float, size: int = 1000, **about: object) -> list[BackupRun]:
    """A run in each night from NIGHT on that did well, or as `about` says."""
    runs: list[BackupRun] = []
    for night in nights:
        runs = after(runs, night, size=size, **about)
    return runs


def after(
    runs: list[BackupRun], night: float, *, size: int = 1000, whole: bool = True, **about: object
) -> list[BackupRun]:
    """The runs, and one more."""
    started = NIGHT + night * DAY
    usual = {"outcome": "done", "snapshot": "ab" * 32, "bytes": size, "bytes_added": size // 100, "source": "files"}
    facts = {**usual, **about}
    run = BackupRun(
        job="etc",
        repository="/srv/backup",
        started=started,
        finished=started + 60,
        **facts,  # type: ignore[arg-type]
    )
    return [*runs, with_ages(run, runs, whole=whole)]


def of(known: Known, night: float, options: BackupCheckOptions | None = None) -> Sample:
    return derive([known], options or BackupCheckOptions(), NIGHT + night * DAY, host="h")


def stands(known: Known, night: float, options: BackupCheckOptions | None = None) -> CheckState:
    """The verdict."""
    options = options or BackupCheckOptions()
    (one,) = plan({"backup": options})
    return judge(one, of(known, night, options), None, now=NIGHT + night * DAY, ticks=1.0, duration=0.0).state


def sample(_: Path) -> Sample:
    """One with every reading."""
    return of(Known(planned(verifies=True), ran(0, 1, 2, 3, 4, size=1 << 30, verified=True)), 4.5)


def test_a_job_that_does_well_is_ok() -> None:
    """With sizes and ages."""
    state = stands(Known(planned(), ran(0, 1, 2)), 2.5)
    assert (state.state, state.message) == ("ok", "1 job, 1000B, the oldest success 11h59m ago")


@pytest.mark.parametrize(("night", "state"), [(3.0, "ok"), (3.03, "ok"), (3.05, "warning"), (4.05, "critical")])
def test_a_time_that_has_passed_without_a_success_is_missed(night: float, state: str) -> None:
    """An hour after it, and a second one is worse."""
    assert stands(Known(planned(), ran(0, 1, 2)), night).state == state


def test_a_new_job_has_missed_nothing_before_it_was_there() -> None:
    """And then what was due since."""
    new = planned(since=NIGHT + DAY / 2)
    assert stands(Known(new), 0.9).state == "ok"
    assert stands(Known(new), 1.1).message.startswith("etc did not do well the last 1 times it was due")


def test_a_run_that_goes_on_is_not_missed() -> None:
    """However long it takes, within its own limit. What was due before it is."""
    begun = Begun(name="etc", started=NIGHT + 3 * DAY, by="timetable")
    assert stands(Known(planned(), ran(0, 1, 2), [begun]), 3.9).state == "ok"
    assert stands(Known(planned(), ran(0, 1), [begun]), 3.9).state == "warning"
    assert stands(Known(planned(), ran(0, 1, 2), [begun]), 4.05).state == "critical", "it hangs"


def test_without_a_timetable_nothing_is_missed() -> None:
    """By hand is by hand; an age can be asked for."""
    by_hand = planned(job=BackupOptions(repository="/srv/backup", paths=("/etc",)))
    known = Known(by_hand, ran(0))
    assert stands(known, 300).state == "ok"
    assert stands(known, 300, BackupCheckOptions(age=Threshold(critical=30 * DAY))).state == "critical"
    assert stands(Known(by_hand), 300).state == "ok"


def test_a_failed_run_says_why() -> None:
    """Twice in a row is critical; a success ends it."""
    runs = after(ran(0, 1), 2, outcome="failed", snapshot="", message="no room is left", whole=False)
    state = stands(Known(planned(), runs), 2.01)
    assert (state.state, state.message) == ("warning", "etc failed: no room is left")
    twice = after(runs, 3, outcome="failed", snapshot="", message="no room is left", whole=False)
    assert "etc failed 2 times in a row: no room is left" in stands(Known(planned(), twice), 3.01).message
    assert stands(Known(planned(), twice), 3.01).state == "critical"
    assert stands(Known(planned(), after(twice, 4)), 4.01).state == "ok"


def test_a_run_that_was_killed_is_a_failed_one() -> None:
    """Nobody was left to say how it ended."""
    runs = ran(0, 1)
    begun = Begun(name="etc", started=NIGHT + 2 * DAY, by="hand", repository="/srv/backup", source="files")
    runs.append(lost(begun, runs, now=NIGHT + 2 * DAY + 60))
    assert "killed" in stands(Known(planned(), runs), 2.01).message
    assert runs[-1].last_success == NIGHT + DAY + 60


def test_a_partial_run_is_a_warning_and_no_success_where_something_is_missing() -> None:
    """Its age goes on, and so the night counts as missed; where only a copy failed, it does not."""
    lacking = after(ran(0, 1), 2, outcome="partial", errors=1, message="/etc/x: cannot be read", whole=False)
    state = stands(Known(planned(), lacking), 2.05)
    assert state.state == "warning"
    assert "cannot be read" in state.message
    assert "did not do well" in state.message
    copied = after(ran(0, 1), 2, outcome="partial", message="it could not be copied")
    assert stands(Known(planned(), copied), 2.05).message == "etc is partial: it could not be copied"


@pytest.mark.parametrize(
    ("size", "state"),
    [(1000, "ok"), (510, "ok"), (499, "warning"), (150, "critical"), (1990, "ok"), (2001, "warning")],
)
def test_a_size_that_is_not_the_usual_one(size: int, state: str) -> None:
    """The median of those before, whatever one of them was."""
    runs = after(ran(0, 1, 2, 3), 4, size=5000)
    known = Known(planned(), after(runs, 5, size=size))
    assert stands(known, 5.01).state == state


def test_nobody_knows_what_is_usual_after_two_runs() -> None:
    """Nor where each snapshot holds what is new."""
    assert stands(Known(planned(), after(ran(0, 1), 2, size=1)), 2.01).state == "ok"
    assert stands(Known(planned(), after(ran(0, 1, 2), 3, size=1)), 3.01).state == "critical"
    journal = after(ran(0, 1, 2), 3, size=1, source="postgresql_wal")
    assert stands(Known(planned(), journal), 3.01).state == "ok"


def test_much_that_is_new_at_once() -> None:
    """As where somebody has encrypted everything: the size says nothing then."""
    size = 100 << 20
    known = Known(planned(), after(ran(0, 1, 2, 3, size=size), 4, size=size, bytes_added=99 << 20))
    assert stands(Known(planned(), after(ran(0, 1, 2, 3), 4, bytes_added=990)), 4.01).state == "ok", "too small"
    assert stands(known, 4.01).message.startswith("etc: 99 % of it was new")


def test_unverified_for_too_long() -> None:
    """Of jobs that verify; a limit of one job alone is possible."""
    runs = after(ran(0, verified=True), 9)
    assert stands(Known(planned(verifies=True), runs), 9.01).state == "warning"
    assert stands(Known(planned(), runs), 9.01).state == "ok"
    override = Override(labels={"job": "etc"}, warning=20 * DAY)
    options = BackupCheckOptions(unverified=Threshold(warning=DAY, overrides=(override,)))
    assert stands(Known(planned(verifies=True), runs), 9.01, options).state == "ok"
    assert stands(Known(planned(verifies=True), after([], 40)), 40.01).state == "critical"


def test_what_was_turned_on_or_got_another_time_has_missed_nothing_before() -> None:
    """Else it would be critical until its first run; what had the same timetable all along has missed it."""
    now = NIGHT + 14 * DAY
    off = planned(job=BackupOptions(repository="/srv/backup", paths=("/etc",)))
    for before, since in ((off, now), (planned(since=NIGHT), NIGHT)):
        (one,) = with_since([planned(since=now)], {"etc": before})
        assert one.since == since
    (one,) = with_since([planned(since=now)], {"etc": off})
    assert stands(Known(one, ran(0)), 14.5).state == "ok"
    assert stands(Known(one, ran(0)), 15.1).state == "warning"


def test_a_timetable_of_another_version_is_told_in_a_sentence() -> None:
    """And not as a fault of the check."""
    other = Planned(name="etc", since=NIGHT, schedule={"fortnightly": "sunday"}, patience=60.0)
    with pytest.raises(CheckError, match="the timetable of etc cannot be read"):
        stands(Known(other), 1)


def test_verifying_that_was_turned_on_is_due_from_then_on() -> None:
    """However old the job is, and what was verified before it was turned off; another timetable changes nothing."""
    runs = after(ran(0, verified=True), 40)
    (one,) = with_since([planned(since=NIGHT + 40 * DAY, verifies=True)], {"etc": planned()})
    assert stands(Known(one, runs), 40.01).state == "ok"
    hourly = planned(since=NIGHT + 40 * DAY, verifies=True, job=HOURLY)
    (one,) = with_since([hourly], {"etc": planned(since=NIGHT, verifies=True)})
    assert one.verifies_since == NIGHT


def test_a_clock_that_was_ahead_once_hides_nothing() -> None:
    """Neither what is missed since, nor how long ago the last success was."""
    ahead = ran(0, 1000)
    assert stands(Known(planned(), ahead), 3.05).state == "critical"
    runs = after(ahead, 3, outcome="failed", snapshot="", whole=False)
    assert runs[-1].last_success == NIGHT + 3 * DAY
    assert after(runs, 4, outcome="failed", snapshot="", whole=False)[-1].last_success == NIGHT + 3 * DAY


def test_it_reads_what_is_on_record(tmp_path: Path) -> None:
    """In the agent's state folder, wherever that is."""
    book = Book(tmp_path, "backups", BackupRun)
    context = Context(system=System(state_folder=tmp_path), now=NIGHT + DAY)
    assert BackupCheck(BackupCheckOptions()).collect(context).summary == "no backup jobs are configured"
    book.note(encode([planned()]))
    recording = book.begin(Begun(name="etc", started=NIGHT, by="hand"))
    (run,) = ran(0)
    recording.end(lambda before: run)
    found = BackupCheck(BackupCheckOptions()).collect(context)
    assert found.summary == "1 job, 1000B, the oldest success 23h59m ago"


def test_it_is_quiet_on_a_host_without_jobs(tmp_path: Path) -> None:
    """There is no such check, until there is a job."""
    file = tmp_path / "agent.toml"
    assert "backup" not in effective_checks(load_configuration(file), System())
    file.write_text('[backups.etc]\nrepository = "/srv/backup"\npaths = ["/etc"]\n')
    assert "backup" in effective_checks(load_configuration(file), System())
    assert load("backup").needs == "backups"
