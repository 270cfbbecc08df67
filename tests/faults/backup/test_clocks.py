"""A wall clock that is wrong, and is set right or wrong between and during runs."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from backup.errors import LockedError
from backup.format.gotime import Moment
from backup.format.lock import Lock, encode_lock
from backup.repository import locks
from backup.stores.contract import FileKind
from tests.faults.backup.ground import HOST, Ground, names, opened, restic
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.trial import Trials
from tests.peers import newest_restic

HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0


@pytest.fixture
def place(ground: Ground, tmp_path: Path) -> Path:
    """A repository with three snapshots."""
    return ground.copy("aged", tmp_path / "repository")


def dead() -> int:
    """The process id of nobody."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def lock(place: Path, *, ahead: float, exclusive: bool, hostname: str, pid: int) -> None:
    """Somebody's."""
    at = Moment(time.time_ns() + int(ahead * 1e9), 0)
    opened(place).save_file(FileKind.LOCK, encode_lock(Lock(at, exclusive, hostname, "u", pid)))


def test_snapshots_of_the_future(trials: Trials, place: Path) -> None:
    """Made while the clock was a year ahead, they are no parent of those made after it was set right, and rules count
    them as restic does; nothing is lost."""
    ground = trials.ground
    for ahead in (YEAR, 0.0, -YEAR):
        outcome = trials.life(place, "run", ground.source, "--host", HOST, ahead=ahead)
        assert outcome.code == 0, outcome.said
    snapshots = opened(place).snapshots()
    assert len(snapshots) == len(ground.contents) + 3
    assert snapshots[-1].time_ns > time.time_ns() + DAY * 1e9 and snapshots[0].time_ns < time.time_ns() - DAY * 1e9
    by_id = {snapshot.id: snapshot for snapshot in snapshots}
    for snapshot in snapshots:
        parent = by_id.get(snapshot.parent or "")
        assert parent is None or parent.time_ns <= snapshot.time_ns
    ground.accepts(place, ground.contents)
    for rules in (["--keep-last", "2"], ["--keep-within", "7d"], ["--keep-daily", "2"], ["--keep-yearly", "5"]):
        words = ["forget", *rules, "--group-by", "host", "--dry-run", "--json"]
        ours = json.loads(trials.life(place, *words).said.splitlines()[0])
        theirs = json.loads(restic(newest_restic(), place, *words, "--no-lock").stdout.splitlines()[0])
        assert [kept["id"] for kept in ours[0]["keep"]] == [kept["id"] for kept in theirs[0]["keep"]], rules
    assert trials.life(place, "forget", "--keep-within", "7d", "--prune", "--group-by", "host").code == 0
    ground.accepts(place, {snapshots[-1].id})


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -YEAR, YEAR])
def test_a_clock_that_jumps_at_every_look(trials: Trials, place: Path, jump: float) -> None:
    """Backup, forget and prune end as they should all the same."""
    ground = trials.ground
    for words in (["run", ground.source, "--host", HOST], ["forget", "--keep-last", "3", "--prune"], ["prune"]):
        outcome = trials.life(place, *words, jump=jump)
        assert outcome.code == 0, outcome.said
        assert not names(place, FileKind.LOCK)
    assert len(names(place, FileKind.SNAPSHOT)) == 3
    ground.accepts(place)


@pytest.mark.parametrize(("back", "after"), [(HOUR, 1), (YEAR, 2)])
@pytest.mark.parametrize("name", ["backup of known folders", "prune", "copy", "rewrite"])
def test_a_clock_that_is_set_back_in_the_middle(trials: Trials, name: str, back: float, after: int) -> None:
    """The work is done all the same, and so is what comes after it, by the wrong clock and by the right one."""
    with trials.trial(OPERATIONS[name]) as trial:
        for set_by, ahead in ((-back, 0.0), (0.0, -back), (0.0, 0.0)):
            outcome = trial.run(set_by=set_by, set_after=after, ahead=ahead)
            assert outcome.code == 0, outcome.said
            assert trial.operation.reached(trial), (set_by, ahead)
            assert not trial.locks() and not trial.spooled()
        trial.ground.accepts(trial.changed, trial.operation.keeps(trial))


@pytest.mark.parametrize("wrong", [-YEAR, -HOUR, HOUR, YEAR])
def test_what_changed_is_saved_by_whatever_clock(trials: Trials, wrong: float) -> None:
    """A wrong clock before and a right one after, or the other way round: every change is seen, whatever the cache
    knows of folders and whichever snapshot is the latest."""
    for clocks in ((wrong, 0.0), (0.0, wrong)):
        with trials.trial(OPERATIONS["backup of known folders"]) as trial:
            for ahead in clocks:
                outcome = trial.run(ahead=ahead)
                assert outcome.code == 0, outcome.said
                assert trial.operation.reached(trial)
            assert len(trial.snapshots()) == len(trial.operation.keeps(trial)) + 2


def test_a_lock_that_was_refreshed_by_a_clock_set_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as left behind for others, whose clocks are right. When they have taken it away, whoever holds it
    changes nothing more."""
    monkeypatch.setattr(locks, "SETTLE", 0.01)
    monkeypatch.setattr(locks, "REFRESH_EVERY", 0.05)
    monkeypatch.setattr(locks, "_POLL", 0.01)
    wrong = 0.0
    end = time.monotonic() + 60

    def now() -> int:
        return time.time_ns() + int(wrong * 1e9)

    with (
        pytest.raises(LockedError, match="removed by somebody else"),
        locks.locked(opened(place), exclusive=True, now=now) as held,
    ):
        restic(newest_restic(), place, "unlock", code=None)
        held.check()
        wrong = -2 * HOUR
        while True:
            assert time.monotonic() < end, "its end was not noticed"
            restic(newest_restic(), place, "unlock", code=None)
            held.check()
    assert not names(place, FileKind.LOCK)


def test_locks_of_the_future(trials: Trials, place: Path) -> None:
    """One of a process that lives, or of another host, is respected and not taken for stale; one of the dead goes."""
    lock(place, ahead=YEAR, exclusive=False, hostname=socket.gethostname(), pid=os.getpid())
    lock(place, ahead=HOUR, exclusive=False, hostname="elsewhere", pid=dead())
    lock(place, ahead=HOUR, exclusive=False, hostname=socket.gethostname(), pid=dead())
    assert trials.life(place, "unlock").code == 0
    assert len(names(place, FileKind.LOCK)) == 2
    outcome = trials.life(place, "prune")
    assert outcome.code == 11 and "locked" in outcome.said and "-" not in outcome.said.split("process")[1], outcome
    assert trials.life(place, "run", trials.ground.source).code == 0, "a shared lock lets others share"
    assert trials.life(place, "unlock", "--remove-all").code == 0
    assert trials.life(place, "prune").code == 0
    trials.ground.accepts(place, trials.ground.contents)


def test_locks_of_a_clock_that_was_set_back(trials: Trials, place: Path) -> None:
    """A lock that is an hour old by the clock counts as left behind, as it does for restic, whoever wrote it."""
    lock(place, ahead=-HOUR, exclusive=True, hostname="elsewhere", pid=1)
    assert trials.life(place, "prune").code == 11
    assert trials.life(place, "unlock").code == 0
    assert trials.life(place, "prune").code == 0
    trials.ground.accepts(place, trials.ground.contents)


def test_a_lock_is_refreshed_by_a_clock_that_nobody_can_set(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the wall clock goes while it is held, it is refreshed, stays ours, and is gone afterwards."""
    monkeypatch.setattr(locks, "SETTLE", 0.01)
    monkeypatch.setattr(locks, "REFRESH_EVERY", 0.05)
    monkeypatch.setattr(locks, "_POLL", 0.01)
    wall = iter(range(10**18, 0, -(10**15)))
    with locks.locked(opened(place), exclusive=True, now=lambda: next(wall)) as held:
        seen: set[str] = set()
        end = time.monotonic() + 60
        while len(seen) < 4:
            assert time.monotonic() < end, "it was not refreshed"
            seen |= names(place, FileKind.LOCK)
            held.check()
    assert not names(place, FileKind.LOCK)
