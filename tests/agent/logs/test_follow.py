"""Following files: what the property test does not do to them."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from agent.logs.follow import Follower, Loss
from agent.logs.place import Places
from tests.require import require_root


class Reader:
    """Looks one after another; what is remembered goes through where it is stored."""

    def __init__(self, *patterns: Path) -> None:
        self.patterns = [str(pattern) for pattern in patterns]
        self.places = Places()
        self.last: Follower | None = None

    def look(self, most: int = 2**30) -> list[bytes]:
        self.last = Follower(self.places, self.patterns, now=time.time(), longest=1000)
        lines = [line for _, batch in self.last.read(most, lambda: False) for line in batch]
        self.places = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(self.last.places)), Places)
        return lines

    @property
    def losses(self) -> list[Loss]:
        assert self.last is not None
        return self.last.losses


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "app.log"
    file.touch()
    return file


def add(file: Path, text: str) -> None:
    with file.open("a") as log:
        log.write(text)


def test_a_writer_that_does_not_append_leaves_a_hole_after_a_truncation(log: Path) -> None:
    """It goes on where it was; the zero bytes before are no part of its first line, however many they are."""
    reader = Reader(log)
    reader.look()
    with log.open("w") as writer:
        writer.write("first\n")
        writer.flush()
        writer.seek(20 * 2**30)
        writer.write("far\n")
        writer.flush()
        assert reader.look() == [b"first", b"far"]
        os.truncate(log, 0)
        writer.write("after\n")
        writer.flush()
    assert reader.look() == [b"after"]
    assert reader.last is not None
    assert reader.last.bytes < 2**20


def test_a_copy_that_stays_beside_its_log_is_not_read(log: Path) -> None:
    """Rotation by `copy` leaves the log as it is."""
    reader = Reader(log)
    reader.look()
    add(log, "1\n")
    reader.look()
    add(log, "2\n")
    shutil.copyfile(log, log.with_name("app.log.1"))
    add(log, "3\n")
    assert reader.look() == [b"2", b"3"]
    assert reader.look() == []


def test_a_log_that_grew_past_its_place_after_copytruncate_is_told_by_its_content(log: Path) -> None:
    """Its size alone says nothing."""
    reader = Reader(log)
    reader.look()
    add(log, "1\n")
    reader.look()
    add(log, "2\n")
    shutil.copyfile(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    add(log, "3\n4\n5\n6\n")
    assert sorted(reader.look()) == [b"2", b"3", b"4", b"5", b"6"]
    assert reader.losses == []


def test_what_was_truncated_away_unread_is_said(log: Path) -> None:
    """For certain where it was there at the last look, else as a possibility."""
    reader = Reader(log)
    reader.look()
    add(log, "1\npart")
    reader.look()
    os.truncate(log, 0)
    reader.look()
    assert reader.losses == [Loss(str(log), "was truncated", 4)]
    add(log, "2\n")
    reader.look()
    log.unlink()
    reader.look()
    assert reader.losses == [Loss(str(log), "was removed", 0)]
    reader.look()
    assert reader.losses == []


def test_a_rotated_piece_that_is_removed_after_it_was_read_is_no_loss(log: Path) -> None:
    """It happens with each rotation."""
    reader = Reader(log)
    reader.look()
    add(log, "1\n")
    log.rename(log.with_name("app.log.1"))
    log.touch()
    reader.look()
    log.with_name("app.log.1").unlink()
    reader.look()
    assert reader.losses == []


def test_history_that_somebody_unpacks_is_not_news(log: Path) -> None:
    """Nor is a piece that comes back."""
    reader = Reader(log)
    add(log, "1\n")
    reader.look()
    old = log.with_name("app.log.7")
    old.write_text("long ago\n")
    os.utime(old, (time.time() - 90 * 86400,) * 2)
    assert reader.look() == []


def test_names_of_workers_are_no_rotated_pieces_where_there_is_no_such_log(tmp_path: Path) -> None:
    """Their logs may even begin alike."""
    reader = Reader(tmp_path / "*.log")
    reader.look()
    for number in range(3):
        (tmp_path / f"worker-{number}.log").write_text("started\n")
    assert reader.look() == [b"started"] * 3


def test_a_link_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    """As programs have it that write a file a day; other kinds of files are no logs."""
    link = tmp_path / "current.log"
    reader = Reader(tmp_path / "*.log")
    reader.look()
    for day in (1, 2):
        (tmp_path / f"day{day}.log").write_text(f"{day}\n")
        link.unlink(missing_ok=True)
        link.symlink_to(f"day{day}.log")
        assert reader.look() == [str(day).encode()]
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "folder.log").mkdir()
    (tmp_path / "nowhere.log").symlink_to("nothing")
    assert reader.look() == []
    assert reader.last is not None
    assert reader.last.troubles == []


def test_names_of_any_bytes_are_followed(tmp_path: Path) -> None:
    """Names of files are bytes."""
    reader = Reader(tmp_path / "*.log")
    reader.look()
    with open(os.fsencode(tmp_path) + b"/caf\xe9.log", "w") as file:
        file.write("1\n")
    assert reader.look() == [b"1"]
    assert reader.look() == []


def test_a_file_that_cannot_be_read_is_said_and_the_others_are_followed(place: Path) -> None:
    """And it is read on when it can be again."""
    require_root()
    for name in ("a", "b"):
        (place / f"{name}.log").touch(0o644)
    reader = Reader(place / "*.log")
    os.seteuid(65534)
    try:
        reader.look()
        os.seteuid(0)
        add(place / "a.log", "a\n")
        add(place / "b.log", "b\n")
        (place / "a.log").chmod(0)
        os.seteuid(65534)
        assert reader.look() == [b"b"]
        assert reader.last is not None
        assert [(one.path, one.reason) for one in reader.last.troubles] == [
            (str(place / "a.log"), "Permission denied")
        ]
        os.seteuid(0)
        (place / "a.log").chmod(0o644)
        os.seteuid(65534)
        assert reader.look() == [b"a"]
    finally:
        os.seteuid(0)


def test_a_log_is_followed_while_it_is_written_and_rotated(log: Path) -> None:
    """Writer and rotation heed each other, as a program does that reopens its log; the follower heeds nobody, and
    looks in the middle of everything."""
    reader = Reader(log)
    reader.look()
    lock = threading.Lock()
    done = threading.Event()
    rounds = 150

    def write_and_rotate() -> None:
        try:
            number = 0
            for turn in range(rounds):
                for _ in range(20):
                    number += 1
                    with lock:
                        add(log, f"line {number}\n")
                with lock:
                    piece = log.with_name(f"app.log.{turn}")
                    if turn % 3 == 0:
                        log.rename(piece)
                        log.touch()
                    elif turn % 3 == 1:
                        with log.open("rb") as source, piece.open("wb") as target:
                            while data := source.read(64):
                                target.write(data)
                                target.flush()
                        os.truncate(log, 0)
        finally:
            done.set()

    thread = threading.Thread(target=write_and_rotate)
    thread.start()
    seen: Counter[bytes] = Counter()
    while not done.is_set():
        seen.update(reader.look(500))
    thread.join()
    seen.update(reader.look())
    seen.update(reader.look())
    assert [line for line, count in seen.items() if count > 1] == []
    assert set(seen) == {f"line {number}".encode() for number in range(1, rounds * 20 + 1)}
