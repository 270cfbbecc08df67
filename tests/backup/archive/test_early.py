"""The look at folders before a repository is open: it saves time, and no snapshot is another for it."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from backup.archive import early
from backup.archive.scope import Scope
from backup.select.filters import CACHE_MARK
from tests.backup.archive.ground import Ground, listed, mutate


def nothing() -> None:
    """Happens."""


def test_what_was_seen_is_not_listed_again(ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tree that is as the run before left it, no folder; else only those that have changed since."""
    ground.save("top", cached=True)
    found = listed(monkeypatch)
    outcome = ground.save("top", cached=True, after_a_look=nothing)
    assert found == [] and outcome.snapshot.tree == ground.tree_without_cache("top")
    assert (outcome.summary.files_unmodified, outcome.summary.dirs_unmodified) == (12, 9)
    assert outcome.summary.total_bytes_processed == sum(p.stat().st_size for p in top.rglob("*") if p.is_file())
    (top / "a" / "d" / "0").write_text("other")
    found.clear()
    outcome = ground.save("top", cached=True, after_a_look=nothing)
    assert found == [os.fsencode(top / "a" / "d")]
    assert outcome.snapshot.tree == ground.tree_without_cache("top")


@pytest.mark.parametrize("seed", range(2))
def test_with_or_without_a_look_the_tree_is_the_same(ground: Ground, top: Path, seed: int) -> None:
    """Whatever changed before it; and what changes after it is in the next snapshot at the latest."""
    source = random.Random(seed)

    def change() -> None:
        for _ in range(source.randrange(3)):
            mutate(top, source)

    ground.save("top", cached=True)
    for _ in range(2):
        change()
        expected = ground.tree_without_cache("top")
        assert ground.save("top", cached=True, after_a_look=nothing).snapshot.tree == expected
        ground.save("top", cached=True, after_a_look=change)
    expected = ground.tree_without_cache("top")
    assert ground.save("top", cached=True, after_a_look=nothing).snapshot.tree == expected


def test_what_is_moved_into_the_place_of_another_is_not_lost(ground: Ground, top: Path) -> None:
    """A folder that was there all the time is in the snapshot, though the look saw another in its place."""
    ground.save("top", cached=True)

    def move() -> None:
        shutil.rmtree(top / "a")
        (top / "e").rename(top / "a")

    outcome = ground.save("top", cached=True, after_a_look=move)
    assert outcome.snapshot.tree == ground.tree_without_cache("top")
    assert b"/top/a/f/g/h/0" in ground.files(outcome)


def test_the_snapshot_bears_the_time_of_the_look(ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on changes may be missing; a look that is long past is not used, and dates nothing."""
    ground.save("top", cached=True)
    looked = []
    before = time.time_ns()
    outcome = ground.save("top", cached=True, after_a_look=lambda: looked.append(time.time_ns()))
    assert before <= outcome.snapshot.time_ns <= looked[0]
    found = listed(monkeypatch)
    monkeypatch.setattr(early, "_MOST_AGE", -1.0)
    outcome = ground.save("top", cached=True, after_a_look=lambda: looked.append(time.time_ns()))
    assert outcome.snapshot.time_ns > looked[1] and len(found) == 9


def test_what_cannot_be_read_is_told_all_the_same(ground: Ground, top: Path) -> None:
    """By the run, each time, once."""
    (top / "e" / CACHE_MARK.name.decode()).mkdir()
    for _ in range(2):
        outcome = ground.save("top", "gone", cached=True, scope=Scope(marks=(CACHE_MARK,)), after_a_look=nothing)
        assert [(Path(problem.path).name, problem.reason) for problem in outcome.problems] == [
            ("gone", "is not there"),
            ("e", "CACHEDIR.TAG in it cannot be read: Is a directory"),
        ]


def test_no_more_is_kept_than_fits(ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer looked than there is time; the rest is listed by the run."""
    monkeypatch.setattr(early, "_MOST_FOLDERS", 3)
    ground.save("top", cached=True)
    found = listed(monkeypatch)
    ground.save("top", cached=True, after_a_look=nothing)
    assert len(found) == 6
