"""Bounds of space and time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from agent.backups.drill import space
from agent.backups.drill.contract import DrillError
from agent.backups.drill.space import OutOfBoundsError, blocks, bounded, require_room, room, used
from kit.errors import HostwardError


def wait_for_the_bound() -> None:
    """Until a signal ends it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.01)


def test_what_needs_more_than_it_may_take_is_refused_ahead(tmp_path: Path) -> None:
    """By the limit, and by the room that there is."""
    require_room(tmp_path, 1000, 1000)
    with pytest.raises(DrillError, match="2KiB would be restored, and `space` allows 1KiB"):
        require_room(tmp_path, 2048, 1024)
    with pytest.raises(DrillError, match="a 20th of it stays free"):
        require_room(tmp_path, room(tmp_path) + 2**30, 2**60)


def test_a_file_takes_whole_blocks() -> None:
    """So many small files take more than their bytes."""
    assert [blocks(size) for size in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]


def test_what_is_written_meanwhile_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a database does it, of which nobody knows ahead what it takes."""
    monkeypatch.setattr(space, "INTERVAL", 0.02)
    (tmp_path / "data").write_bytes(b"x" * 100_000)
    assert 100_000 <= used(tmp_path) < 200_000
    with (
        pytest.raises(OutOfBoundsError, match="of disk, and `space` allows 64KiB"),
        bounded(tmp_path, limit=65536, timeout=60),
    ):
        wait_for_the_bound()
    assert signal.getitimer(signal.ITIMER_REAL)[1] == 0.0  # only the test's own time limit is left


def test_a_drill_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """By itself, so that it can clean up."""
    with (
        pytest.raises(OutOfBoundsError, match="not done within its time limit of 50ms"),
        bounded(tmp_path, limit=None, timeout=0.05),
    ):
        wait_for_the_bound()


def test_nobody_takes_the_end_of_a_drill_for_a_failure_of_their_own(tmp_path: Path) -> None:
    """As who asks a server again and again whether it is up: then the drill would go on without any bound."""
    with pytest.raises(OutOfBoundsError), bounded(tmp_path, limit=None, timeout=0.05):
        try:
            wait_for_the_bound()
        except HostwardError:
            wait_for_the_bound()


def test_a_file_system_that_fills_up_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fills it."""
    monkeypatch.setattr(space, "INTERVAL", 0.02)
    monkeypatch.setattr(space, "room", lambda _folder: -1)
    with pytest.raises(OutOfBoundsError, match="less than a 20th"), bounded(tmp_path, limit=None, timeout=60):
        wait_for_the_bound()


def test_within_its_bounds_nothing_happens(tmp_path: Path) -> None:
    """And afterwards the signal means what it meant before."""
    before = signal.getsignal(signal.SIGALRM)
    with bounded(tmp_path, limit=2**30, timeout=60):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
