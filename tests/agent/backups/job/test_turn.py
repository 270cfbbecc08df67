"""No two runs at once on a repository."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agent.backups.job.turn import try_turn, turn


def refuse() -> None:
    raise AssertionError("it had to wait")


@pytest.mark.parametrize("other", ["/srv/backup", "/srv/backup/", "//srv/./backup", "local:/srv/backup"])
def test_a_place_is_the_same_however_it_is_written(tmp_path: Path, other: str) -> None:
    """And another one is free."""
    with turn(tmp_path, ["/srv/backup"], refuse), turn(tmp_path, ["rest:https://h/srv/backup"], refuse):
        assert try_turn(tmp_path, [other]) is None
        give_back = try_turn(tmp_path, ["/srv/other"])
        assert give_back is not None
        give_back()
    with turn(tmp_path, [other, "/srv/other"], refuse):
        pass


def test_who_gets_not_all_at_once_holds_nothing(tmp_path: Path) -> None:
    """Others go on."""
    places = ["/a", "/b"]
    for taken in places:
        with turn(tmp_path, [taken], refuse):
            assert try_turn(tmp_path, places) is None
        give_back = try_turn(tmp_path, places)
        assert give_back is not None
        give_back()


def test_who_waits_is_next(tmp_path: Path) -> None:
    """And says so once."""
    told: list[str] = []
    waits, done = threading.Event(), threading.Event()

    def wait() -> None:
        def tell() -> None:
            told.append("waits")
            waits.set()

        with turn(tmp_path, ["/a", "/b"], tell):
            done.set()

    thread = threading.Thread(target=wait)
    give_back = try_turn(tmp_path, ["/a", "/b"])
    assert give_back is not None
    thread.start()
    assert waits.wait(60)
    assert not done.is_set()
    give_back()
    thread.join(60)
    assert done.is_set()
    assert told == ["waits"]
