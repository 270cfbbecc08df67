"""What is kept of runs: every one of them, whatever ended it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from agent.backups.job.history import is_success, lost, with_ages
from agent.backups.records import KEPT, KILLED, Begun, Book
from tests.agent.tmpfs import fill, small_disk
from tests.require import require_root
from wire.report import BackupRun

BEGUN = Begun(name="etc", started=1000.0, by="hand", repository="/srv/backup", source="files")
HOLDER = """
import sys, time
from pathlib import Path
from agent.backups.records import Begun, Book
from wire.report import BackupRun
begun = Begun(name="etc", started=1000.0, by="timetable", source="files")
held = Book(Path(sys.argv[1]), "backups", BackupRun).begin(begun)
print("begun", flush=True)
time.sleep(600)
"""


def book_in(folder: Path) -> Book[BackupRun]:
    return Book(folder, "backups", BackupRun)


def run_at(started: float, **about: object) -> BackupRun:
    facts = {"outcome": "done", "snapshot": "ab" * 32, **about}
    return BackupRun(job="etc", source="files", repository="/srv", started=started, finished=started + 1, **facts)  # type: ignore[arg-type]


def keep(book: Book[BackupRun], *runs: BackupRun) -> None:
    for run in runs:
        book.begin(BEGUN).end(lambda before, run=run: run)  # type: ignore[misc]


def test_a_run_goes_on_until_it_has_ended(tmp_path: Path) -> None:
    """Then it has the next number."""
    book = book_in(tmp_path)
    assert (book.names(), book.runs("etc"), book.going_on("etc"), book.plan()) == ([], [], [], b"")
    recording = book.begin(BEGUN)
    assert book.going_on("etc") == [BEGUN]
    recording.end(lambda before: run_at(1.0))
    keep(book, run_at(2.0))
    assert book.going_on("etc") == []
    assert [(one.number, one.record.run.started, one.record.by) for one in book.runs("etc")] == [
        (1, 1.0, "hand"),
        (2, 2.0, "hand"),
    ]
    assert [one.number for one in book.runs("etc", after=1)] == [2]
    assert book.names() == ["etc"]


def test_one_that_did_not_begin_after_all_is_forgotten(tmp_path: Path) -> None:
    """It is neither lost nor on record."""
    book = book_in(tmp_path)
    book.begin(BEGUN).forget()
    assert book.settle("etc", partial(lost, now=0.0)) == []
    assert book.going_on("etc") == []
    assert book.runs("etc") == []


def test_a_run_that_was_killed_goes_on_record(tmp_path: Path) -> None:
    """As a failed one, by whoever comes next, and once; while it lives nobody takes it for lost."""
    book = book_in(tmp_path)
    keep(book, with_ages(run_at(1.0), (), whole=True))
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"begun\n"
        assert [begun.by for begun in book.going_on("etc")] == ["timetable"]
        assert book.settle("etc", partial(lost, now=2000.0)) == []
    finally:
        holder.kill()
        holder.communicate()
    assert book.going_on("etc") == []
    (run,) = book.settle("etc", partial(lost, now=2000.0))
    assert (run.outcome, run.message, run.started, run.last_success) == ("failed", KILLED, 1000.0, 2.0)
    assert not is_success(run)
    assert book.settle("etc", partial(lost, now=2000.0)) == []
    assert [one.record.run.outcome for one in book.runs("etc")] == ["done", "failed"]


def test_a_kill_between_the_record_and_the_end_counts_once(tmp_path: Path) -> None:
    """The record is there, and so is what says that the run goes on."""
    book = book_in(tmp_path)
    recording = book.begin(BEGUN)
    (begun,) = (tmp_path / "backups/etc").glob("*.begun")
    content = begun.read_bytes()
    recording.end(lambda before: run_at(1.0))
    begun.write_bytes(content)
    assert book.settle("etc", partial(lost, now=2.0)) == []
    assert not begun.exists()
    assert len(book.runs("etc")) == 1


def test_what_no_longer_means_anything_is_no_run(tmp_path: Path) -> None:
    """A file that is damaged, one that is no file, and what a kill left half-written long ago."""
    book = book_in(tmp_path)
    keep(book, run_at(1.0))
    folder = tmp_path / "backups/etc"
    (folder / "0000000002.json").write_text("{")
    os.mkfifo(folder / "0000000003.json")
    (folder / "x.begun").write_text("")
    old = folder / "y.tmp"
    old.write_text("{")
    os.utime(old, (0, 0))
    assert [one.number for one in book.runs("etc")] == [1]
    assert book.settle("etc", partial(lost, now=2.0)) == []
    assert not old.exists()
    assert not (folder / "x.begun").exists()
    keep(book, run_at(2.0))
    assert [one.number for one in book.runs("etc")] == [1, 4]


def test_history_is_bounded(tmp_path: Path) -> None:
    """The numbers go on."""
    book = book_in(tmp_path)
    folder = tmp_path / "backups/etc"
    keep(book, run_at(1.0))
    content = (folder / "0000000001.json").read_bytes()
    for number in range(2, KEPT + 1):
        (folder / f"{number:010}.json").write_bytes(content)
    keep(book, run_at(2.0))
    numbers = [one.number for one in book.runs("etc")]
    assert (len(numbers), numbers[0], numbers[-1]) == (KEPT, 2, KEPT + 1)
    assert [one.number for one in book.runs("etc", last=2)] == [KEPT, KEPT + 1]


def test_a_full_disk_takes_no_record_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on record is; where no room was reserved the run counts as lost, since nothing says how it ended."""
    book = book_in(tmp_path)
    keep(book, run_at(1.0))
    recording = book.begin(BEGUN)

    def full(descriptor: int, data: bytes, place: int = 0) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("agent.backups.records.os.write", full)
        patch.setattr("agent.backups.records.os.pwrite", full)
        with pytest.raises(OSError, match="No space"):
            recording.end(lambda before: run_at(2.0))
    assert [one.number for one in book.runs("etc")] == [1]
    assert [run.outcome for run in book.settle("etc", partial(lost, now=3.0))] == ["failed"]
    assert list((tmp_path / "backups/etc").glob("*.tmp")) == []


@pytest.mark.root
def test_a_full_disk_keeps_how_a_run_ended(tmp_path: Path) -> None:
    """In the room that was reserved for it; whoever comes next puts it on record once there is room."""
    require_root()
    with small_disk(tmp_path / "disk", size="256k") as disk:
        book = book_in(disk)
        recording = book.begin(BEGUN)
        fill(disk / "filler")
        run = run_at(2.0, message="x" * 200)
        assert recording.end(lambda before: run) == run
        assert book.settle("etc", partial(lost, now=3.0)) == []
        assert book.runs("etc") == []
        (disk / "filler").unlink()
        assert book.settle("etc", partial(lost, now=3.0)) == []
        assert [one.record.run for one in book.runs("etc")] == [run]
        assert [path.suffix for path in (disk / "backups/etc").iterdir()] == [".json"]


def test_half_a_record_that_was_left_is_a_lost_run(tmp_path: Path) -> None:
    """As a kill leaves it; a file of a version that reserved nothing is read too."""
    book = book_in(tmp_path)
    for tail in (b'\n{"id": "', b"", b"\n\0\0"):
        os.close(book.begin(BEGUN)._descriptor)
        (begun,) = (tmp_path / "backups/etc").glob("*.begun")
        begun.write_bytes(begun.read_bytes().rstrip(b"\0") + tail)
        assert [run.message for run in book.settle("etc", partial(lost, now=3.0))] == [KILLED]
        assert not begun.exists()


def test_a_link_that_somebody_planted_leads_nowhere(tmp_path: Path) -> None:
    """The folder is the agent's, and root writes into it too."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    state = tmp_path / "state"
    (state / "backups").mkdir(parents=True)
    (state / "backups/etc").symlink_to(elsewhere)
    with pytest.raises(OSError, match="directory"):
        book_in(state).begin(BEGUN)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.root
def test_what_root_keeps_belongs_to_the_agent(tmp_path: Path) -> None:
    """Who could not read it otherwise."""
    require_root()
    os.chown(tmp_path, 4242, 4242)
    book = book_in(tmp_path)
    keep(book, run_at(1.0))
    book.note(b"[]")
    made = [tmp_path / "backups", *(tmp_path / "backups").rglob("*")]
    assert len(made) == 4
    assert {path.stat().st_uid for path in made} == {4242}
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)


def test_ages_are_those_of_the_last_that_did_well() -> None:
    """And of the last of these that was verified, by its begin: what was there then surely comes back."""
    first = with_ages(run_at(10.0, verified=True), (), whole=True, due=99.0)
    second = with_ages(run_at(20.0), [first], whole=True)
    third = with_ages(run_at(30.0, outcome="partial", verified=True), [first, second], whole=False)
    assert (first.last_success, first.last_verified, first.next) == (11.0, 10.0, 99.0)
    assert (second.last_success, second.last_verified) == (21.0, 10.0)
    assert (third.last_success, third.last_verified) == (21.0, 10.0)
    assert [is_success(run) for run in (first, second, third)] == [True, True, False]


def test_a_signal_that_ends_python_gives_the_lock_back(tmp_path: Path) -> None:
    """A kernel's business, and all of this rests on it."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGSEGV)
        holder.wait(60)
    finally:
        holder.kill()
        holder.communicate()
    assert len(book_in(tmp_path).settle("etc", partial(lost, now=1.0))) == 1
