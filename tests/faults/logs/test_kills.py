"""A kill at each change that a rotation makes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.faults.logs.ground import WAYS, Way, wait_until
from tests.faults.logs.lives import AFTER, BEFORE, WITHIN
from tests.faults.logs.trial import Clean, Fault, Trial, Trials

DIVISIBLE = ("write", "copy_range")


def kills(calls: list[str]) -> Iterator[tuple[int, str]]:
    """Before each call, in the middle of those that can be half done, and after the last."""
    for number, name in enumerate(calls, 1):
        yield number, BEFORE
        if name in DIVISIBLE:
            yield number, WITHIN
    yield len(calls), AFTER


def of_logs(calls: list[str]) -> range:
    """The numbers of the calls that change logs and not the state, which is written at the end."""
    return range(1, min(number for number, name in enumerate(calls, 1) if name.startswith("state ")))


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_each_change(trials: Trials, way: str) -> None:
    """No line is lost, nothing looks whole that is not, and the next run finishes the work, which is done once."""
    clean = trials.clean(way)
    number = len(of_logs(clean.calls))
    for fault in kills(clean.calls if way == "numbers" else clean.calls[:number]):
        with trials.trial(way) as trial:
            try:
                killed(trial, fault)
                nothing_lost(trial, clean)
                finished(trial, clean)
            except AssertionError as error:
                raise AssertionError(f"{way}, {fault[1]} {clean.calls[fault[0] - 1]}, {fault[0]}: {error}") from error


@pytest.mark.parametrize("way", WAYS)
def test_two_kills_in_a_row(trials: Trials, way: str) -> None:
    """The run that finishes the work is killed, too, and the next one does what is left."""
    clean = trials.clean(way)
    every = of_logs(clean.calls)
    for first in every[2 :: max(len(every) // 3, 1)]:
        for second in (2, 5):
            with trials.trial(way) as trial:
                try:
                    killed(trial, (first, BEFORE))
                    if trial.run((second, BEFORE)).code == 0:
                        break
                    nothing_lost(trial, clean)
                    finished(trial, clean, kills=2)
                except AssertionError as error:
                    raise AssertionError(f"{way}, killed before {first}, then {second}: {error}") from error


def test_a_log_that_was_done_before_a_kill_has_its_next_turn(trials: Trials) -> None:
    """What had ended counts as rotated when it was, also where the next run comes a day later."""
    trials = trials.of({"create": Way("create\n", older=())})
    writes = next(i for i, name in enumerate(trials.clean("create").calls, 1) if name.startswith("state "))
    with trials.trial("create") as trial:
        killed(trial, (writes, BEFORE))
        again = trial.run(words=("-f",))
        assert "/logs/app.log.2" not in trial.place.tree(), again.said
    with trials.trial("create") as trial:
        killed(trial, (writes, BEFORE))
        again = trial.run(days=1)
        assert again.code == 0 and "/logs/app.log.2" in trial.place.tree(), again.said
        assert "2024-1-6" in trial.place.rotated_at() and not trial.place.left_over()


FREED = {
    "copytruncate, compress": "copytruncate\ncompress\n",
    "compress": "compress\nnocreate\n",
    "rotate 0": "rotate 0\nnocreate\n",
}
"""Ways to rotate after which what was rotated, or its inode, is somebody else's to have."""


@pytest.mark.parametrize("way", FREED)
def test_what_is_written_between_a_kill_and_the_next_run_stays(trials: Trials, way: str) -> None:
    """What was done is not done again to a new log, not even where that has the inode of the one that was rotated."""
    trials = trials.of({way: Way(f"{FREED[way]}allowhardlink\n", older=())})
    clean = trials.clean(way)
    rotates = next(number for number, name in enumerate(clean.calls, 1) if name in ("rename", "truncate"))
    for fault in kills(clean.calls):
        with trials.trial(way) as trial:
            log, kept = trial.place.logs / "app.log", trial.place.top / "kept"
            kept.hardlink_to(log)  # so that nobody else gets the inode
            killed(trial, fault)
            is_rotated = log.stat().st_size == 0 if log.exists() else fault[0] >= rotates
            if not log.exists():
                if kept.stat().st_nlink == 1:
                    os.truncate(kept, 0)
                    kept.rename(log)
                else:
                    log.touch()
            with log.open("ab") as stream:
                stream.write(b"line of later\n")
            trial.run()
            if is_rotated:
                assert b"line of later" in trial.place.counted(), (way, fault, clean.calls[fault[0] - 1])


SLOW = """#!/bin/sh
mkdir {top}/first 2>/dev/null && {{ touch {top}/begun; while ! test -e {top}/go; do sleep 0.01; done; }}
gzip; touch {top}/ended.$$
"""


def test_a_kill_while_a_program_compresses(trials: Trials) -> None:
    """It goes on after its parent's end, and beside that which the next run starts; neither spoils what the other
    makes."""
    body = "compress\ncreate\ncompresscmd {top}/slow\n"
    slow = trials.of({"slow": Way(body, older=("app.log.1.gz",))})
    with slow.trial("slow") as trial:
        place = trial.place
        (place.top / "slow").write_text(SLOW.format(top=place.top))
        (place.top / "slow").chmod(0o755)
        end = trial.begin()
        wait_until((place.top / "begun").exists)
        os.kill(trial.pid, signal.SIGKILL)
        assert end().code == -signal.SIGKILL
        assert set(place.counted().values()) == {1}
        again = trial.run()
        assert again.code == 0, again.said
        before = place.tree()
        (place.top / "go").touch()
        wait_until(lambda: len(list(place.top.glob("ended.*"))) == 2)
        assert place.tree() == before and before.keys() == {
            "/logs/app.log",
            "/logs/app.log.1.gz",
            "/logs/app.log.2.gz",
        }
        assert set(place.counted().values()) == {1} and not place.left_over()


def killed(trial: Trial, fault: Fault) -> None:
    """A run that is killed there."""
    outcome = trial.run(fault)
    assert outcome.code == -signal.SIGKILL, outcome


def nothing_lost(trial: Trial, clean: Clean) -> None:
    """Every line that is to be kept is there at this moment, too, and whatever has its final name is whole."""
    lost = clean.place.counted().keys() - trial.place.counted().keys()
    assert not lost, f"lost: {len(lost)} lines, such as {min(lost)!r}; there are {trial.place.tree().keys()}"


def finished(trial: Trial, clean: Clean, *, kills: int = 1) -> None:
    """The next run leaves what a run without a fault leaves, and the one after it has nothing to do."""
    place = trial.place
    for _ in range(1 + kills % 2):
        again = trial.run()
        assert again.code == 0, again.said
        assert place.tree() == clean.place.tree(), f"{sizes(trial)}, expected {sizes(trial, clean)}"
        assert not place.left_over()
        assert place.rotated_at().split()[::2] == clean.place.rotated_at().split()[::2]
        assert "2024-1-5" in place.rotated_at() and "2024-1-4" not in place.rotated_at()
    ran, expected = place.ran(), clean.place.ran()
    assert ran.keys() == expected.keys()
    assert all(count <= 1 + kills for count in ran.values()), ran


def sizes(trial: Trial, clean: Clean | None = None) -> dict[str, int]:
    """What there is, for messages."""
    place = clean.place if clean is not None else trial.place
    return {name: len(content) for name, (_, _, _, content) in place.tree().items()}
