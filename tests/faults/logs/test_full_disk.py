"""A disk that is really full while logs are rotated."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent.tmpfs import fill, small_disk
from tests.faults.logs.ground import Place, Way, lines
from tests.faults.logs.lives import FULL
from tests.faults.logs.trial import Trial, Trials

BIG = 2 << 20
"""Bytes of a log that does not become smaller; the disk has room for less than two of them."""

WAYS = {
    "compress": Way("compress\ncreate\n", older=()),
    "copytruncate": Way("copytruncate\n", older=()),
    "copy": Way("copy\n", older=()),
    "renamecopy": Way("renamecopy\ncreate\n", older=()),
    "rename": Way("create\n", older=()),
}


@contextmanager
def full(trials: Trials, way: str, folder: Path) -> Iterator[tuple[Trial, Path]]:
    """A trial whose logs lie on a small disk with nothing but them; the path of the disk."""
    with trials.of(WAYS).trial(way) as trial, small_disk(folder / "disk", size="3m") as disk:
        disk.chmod(0o755)
        place = trial.place
        (place.logs / "app.log").unlink()
        place.logs.rmdir()
        place.logs.symlink_to(disk)
        (disk / "app.log").write_bytes(os.urandom(BIG))
        try:
            yield trial, disk
        finally:
            place.logs.unlink()
            place.logs.mkdir()


def held(place: Place) -> list[bytes]:
    """What is in each file, but for empty ones."""
    return [content for _, _, _, content in place.tree().values() if content]


@pytest.mark.parametrize("way", ["compress", "copytruncate", "copy", "renamecopy"])
def test_a_disk_without_room_for_two(trials: Trials, tmp_path: Path, way: str) -> None:
    """What is compressed or copied stays as it was, nothing half-made is left, and it is done once there is room."""
    with full(trials, way, tmp_path) as (trial, disk):
        content = (disk / "app.log").read_bytes()
        outcome = trial.run()
        assert outcome.code == 1 and "No space left on device" in outcome.said, outcome
        assert "Traceback" not in outcome.said
        assert held(trial.place) == [content]
        assert not [path.name for path in disk.iterdir() if path.name.startswith(".")]
        os.system(f"mount -o remount,size=16m {disk}")
        again = trial.run(words=("-f",))
        assert again.code == 0, again.said
        assert content in held(trial.place)
        assert not trial.place.left_over()


@pytest.mark.parametrize("way", ["rename", "copytruncate"])
def test_no_room_for_state_and_journal(trials: Trials, tmp_path: Path, way: str) -> None:
    """A rotation of which nothing could be written down does not begin, or is known by the next run."""
    with trials.of(WAYS).trial(way) as trial, small_disk(tmp_path / "disk", size="64k") as disk:
        place = trial.place
        disk.chmod(0o755)
        (disk / "status").write_bytes(place.state.read_bytes())
        place.state.unlink()
        place.state.parent.rmdir()
        place.state.parent.symlink_to(disk)
        fill(disk / "rest")
        outcome = trial.run()
        assert outcome.code == 1 and "No space left on device" in outcome.said, outcome
        assert held(place) == [lines(0, 100)]
        (disk / "rest").unlink()
        again = trial.run()
        assert again.code == 0, again.said
        assert held(place) == [lines(0, 100)] and (place.logs / "app.log.1").exists()
        place.state.parent.unlink()
        place.state.parent.mkdir()


def test_a_disk_that_fills_at_each_write(trials: Trials) -> None:
    """From then on nothing can be written: no line is lost, and all is done once there is room."""
    for way in ("compress", "copytruncate"):
        clean = trials.clean(way)
        for number in itertools.count(1):
            with trials.trial(way) as trial:
                outcome = trial.run((number, FULL))
                lost = clean.place.counted().keys() - trial.place.counted().keys()
                assert not lost, f"{way}, {number}: {outcome.said}"
                if outcome.code == 0:
                    break
                assert outcome.code == 1 and "No space left on device" in outcome.said, outcome
                assert trial.run().code == 0
                found = trial.place.counted()
                # Where not even the state could be written, older ones went a step further twice, as with logrotate.
                assert set(lines(300, 400).splitlines()) <= found.keys(), f"{way}, {number}: {outcome.said}"
                assert not trial.place.left_over()
