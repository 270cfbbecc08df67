"""What a drill comes to."""

from __future__ import annotations

from typing import Any

import pytest

from agent.backups.drill.contract import NAMED, DrillError, Restored
from agent.backups.drill.history import held_since, lost
from agent.backups.drill.run import chosen
from agent.backups.drill.verdict import missed_targets, record
from agent.backups.records import Begun
from agent.config.drills import Assertion, DrillOptions
from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot
from kit.units import Duration
from wire.limits import MAX_SPAN
from wire.report import BackupRun, Drill

NOW = 1_800_000_000.0


def snapshot(age: float, id: str = "ab" * 32) -> Snapshot:
    return Snapshot(Moment(round((NOW - age) * 1e9), 0), b"t" * 32, ("/srv",), id=id)


def options(**fields: Any) -> DrillOptions:
    return DrillOptions(backup="shop", weekly="sunday 04:00", **fields)


def judged(drill: DrillOptions, restored: Restored | None, **more: Any) -> Drill:
    settings = {"snapshot": snapshot(600), "repository": "/srv/backup", **more}
    return record("shop", drill, started=NOW, finished=NOW + 60, restored=restored, **settings)


def whole(**fields: Any) -> Restored:
    return Restored(**{"files": 10, "bytes": 1000, "total_files": 10, "total_bytes": 1000, "seconds": 30.0, **fields})


def test_what_came_back_whole_and_in_time_is_done() -> None:
    """With its age and its time."""
    found = judged(options(rpo=Duration(3600), rto=Duration(60)), whole())
    assert (found.outcome, found.recovery_point, found.recovery_time) == ("done", 600.0, 30.0)
    assert missed_targets(found) == []
    assert found.message == "10 files, 1000B, compared"


def test_a_difference_fails_the_drill_and_is_named() -> None:
    """The first three, of however many there are."""
    restored = whole()
    for number in range(30):
        restored.differs(f"/srv/{number}: is not what the snapshot says")
    found = judged(options(), restored)
    assert (found.outcome, found.differing) == ("failed", 30)
    assert found.message.startswith("30 files differ: /srv/0: is not what the snapshot says; /srv/1")
    assert len(restored.differences) == NAMED


@pytest.mark.parametrize(
    ("wrong", "outcome", "assertion"), [("", "done", "held"), ("it is empty", "failed", "failed")]
)
def test_the_assertion_decides(wrong: str, outcome: str, assertion: str) -> None:
    """Where all files are as they should be."""
    found = judged(options(assertion=Assertion(command=("/bin/true",))), whole(), wrong=wrong)
    assert (found.outcome, found.assertion) == (outcome, assertion)
    assert wrong in found.message


def test_a_restore_that_was_not_done_measures_nothing() -> None:
    """And asks nothing."""
    found = judged(options(rpo=Duration(60), assertion=Assertion(command=("/bin/true",))), None, problem="no room")
    assert (found.outcome, found.recovery_time, found.assertion, found.message) == ("failed", None, "", "no room")
    assert found.recovery_point == 600.0


def test_targets_that_were_missed_are_told() -> None:
    """Each with what was measured; an estimate as one."""
    found = judged(options(rpo=Duration(300), rto=Duration(20)), whole(estimated=True))
    assert missed_targets(found) == [
        "what comes back is 10m old, rpo is 5m",
        "it takes some 30s until all is back, rto is 20s",
    ]


def test_a_run_that_found_nothing_changed_makes_a_snapshot_young() -> None:
    """What comes back is then what was there when it looked."""
    found = judged(options(), whole(), held=NOW - 100)
    assert found.recovery_point == 100.0


def test_an_old_snapshot_on_purpose_says_nothing_of_the_recovery_point() -> None:
    """Nor is it judged by it."""
    assert judged(options(age=Duration(300)), whole()).recovery_point is None


def test_spans_fit_into_a_report() -> None:
    """A snapshot from 1970, and an estimate of ten years."""
    found = judged(options(), whole(seconds=1e9), snapshot=snapshot(NOW - 5))
    assert (found.recovery_point, found.recovery_time) == (MAX_SPAN, MAX_SPAN)


def test_the_newest_snapshot_that_is_old_enough_is_chosen() -> None:
    """By default the newest of all; one that says that it is from tomorrow only where there is no other."""
    young, old = snapshot(10, "a" * 64), snapshot(1000, "b" * 64)
    assert chosen([old, young], options(), now=NOW) is young
    assert chosen([old, young], options(age=Duration(100)), now=NOW) is old
    with pytest.raises(DrillError, match="no snapshot of the job shop is 1h old"):
        chosen([old, young], options(age=Duration(3600)), now=NOW)
    with pytest.raises(DrillError, match="no run of the job shop has made a snapshot"):
        chosen([], options(), now=NOW)
    tomorrow = snapshot(-86400)
    assert chosen([tomorrow, young], options(), now=NOW) is young
    assert chosen([tomorrow], options(), now=NOW) is tomorrow
    assert judged(options(), whole(), snapshot=tomorrow).recovery_point is None


def test_a_drill_that_was_killed_is_on_record_as_failed() -> None:
    """With its targets and its reason, as clear as any other failure."""
    begun = Begun(name="shop", started=NOW, by="timetable", repository="/srv/backup")
    found = lost(begun, options(rpo=Duration(60)), now=NOW + 100)
    assert (found.outcome, found.started, found.finished, found.rpo) == ("failed", NOW, NOW + 100, 60.0)
    assert "killed" in found.message


def test_a_snapshot_holds_all_since_the_last_success_that_made_no_other() -> None:
    """A failed run says nothing."""

    def run(started: float, snapshot: str, *, success: bool = True) -> BackupRun:
        finished = started + 1
        return BackupRun(
            job="shop",
            source="files",
            repository="/srv/backup",
            started=started,
            finished=finished,
            outcome="done" if success else "failed",
            snapshot=snapshot,
            last_success=finished if success else None,
        )

    runs = [run(1, "a"), run(2, "b"), run(3, ""), run(4, "", success=False)]
    assert held_since({"b"}, runs) == 3
    assert held_since({"a", "x"}, runs) == 1, "a copy that did not get the last one"
    assert held_since({"c"}, [run(1, "a")]) is None
    assert held_since({"a"}, [run(1, ""), run(2, "")]) == 2, "the run that made it is on record no more"
