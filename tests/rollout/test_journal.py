"""What a killed run needs to go on is on disk, whole, and nobody else's."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.errors import UsageError
from rollout import journal as journals
from rollout.events import HostBegan, HostEnded, Resumed, Started, WaveBegan
from rollout.journal import Journal, JournalError, LockedError
from tests.rollout.rules.test_state import started

SECONDS = count()
"""Of ids that tests draw: no two have the same."""


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals in a folder of the test's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "hostward" / "rollouts"


def begun(name: str = "20261101-000000-abcdef") -> Started:
    """A rollout of that id."""
    return Started(**{**{field: getattr(started(), field) for field in Started.__struct_fields__}, "id": name})


def test_a_journal_is_private_and_one_process_goes_on_with_it(state_home: Path) -> None:
    """Another is told so, and may look."""
    journal = Journal.create(begun())
    journal.add(WaveBegan(time=2.0, wave=0))
    folder = journal.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "journal.jsonl").stat().st_mode) == 0o600
    assert journals.is_running(folder)
    with pytest.raises(LockedError, match="is being run by another process"):
        Journal.resume(folder)
    assert journals.read(folder).waves[0].state == "running"
    journal.close()
    assert not journals.is_running(folder)
    again = Journal.resume(folder)
    again.add(Resumed(time=3.0, who="you"))
    assert again.state.left() == [0, 1]
    again.close()
    assert journals.ids() == [folder.name]


def test_a_killed_process_leaves_every_event_that_it_told_of() -> None:
    """What it wrote before going on is there, and the lock is not."""
    program = """
import sys
from rollout.events import HostBegan
from rollout.journal import Journal
from tests.rollout.test_journal import begun
journal = Journal.create(begun())
journal.add(HostBegan(time=3.0, host="a"))
print(journal.folder, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert journals.is_running(folder)
        process.kill()
    journal = Journal.resume(folder)
    assert journal.state.hosts["a"].state == "running"
    journal.close()


def test_who_looks_whether_a_rollout_runs_keeps_nobody_from_going_on_with_it() -> None:
    """As `list` beside `resume`, however often."""
    journal = Journal.create(begun())
    journal.close()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            journals.is_running(journal.folder)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(60):
            Journal.resume(journal.folder).close()
    finally:
        ended.set()
        looker.join()


def test_a_rollout_that_could_not_be_begun_leaves_nothing(state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what a kill left of one that was not begun yet stands in nobody's way."""
    Journal.create(begun()).close()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(JournalError, match="No space left on device"):
        patched.setattr("os.fsync", full)
        Journal.create(begun("20261102-000000-aaaaaa"))
    assert [path.name for path in state_home.iterdir()] == ["20261101-000000-abcdef"]
    for name, content in (("20261103-000000-aaaaaa", None), ("20261104-000000-aaaaaa", b'{"type":"sta')):
        (state_home / name).mkdir()
        if content is not None:
            (state_home / name / "journal.jsonl").write_bytes(content)
    (state_home / "20261105-000000-aaaaaa").touch()
    assert journals.ids() == ["20261101-000000-abcdef"]
    assert journals.find(None).name == "20261101-000000-abcdef"
    with pytest.raises(UsageError, match="there is no rollout"):
        journals.find("20261103-000000-aaaaaa")


def test_ids_sort_by_time_within_a_second_too() -> None:
    """The newest is what is meant where none is named."""
    names = [journals.new_id(1000.0 + step / 4) for step in range(8)]
    assert sorted(names) == names
    assert len({journals.new_id(1000.5) for _ in range(8)}) > 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 400))
def test_a_torn_last_line_is_left_out_and_cut_off(state_home: Path, cut: int) -> None:
    """Wherever the power failed; the events before it count, and the next one begins a line."""
    journal = Journal.create(begun(journals.new_id(float(next(SECONDS)))))
    for event in (HostBegan(time=3.0, host="a"), HostEnded(time=4.0, host="a", state="done")):
        journal.add(event)
    journal.close()
    path = journal.folder / "journal.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    kept = max(first, len(whole) - cut)
    path.write_bytes(whole[:kept])
    again = Journal.resume(journal.folder)
    lines = whole[:kept].count(b"\n")
    assert again.state.hosts["a"].state == ["waiting", "running", "done"][lines - 1]
    again.add(Resumed(time=5.0, who="me"))
    again.close()
    assert path.read_bytes().count(b"\n") == lines + 1
    assert journals.read(journal.folder).record.id == journal.folder.name


def test_what_is_no_journal_is_refused() -> None:
    """A line in the middle that nobody wrote, an empty file, none, and one of a later version."""
    journal = Journal.create(begun())
    journal.close()
    path = journal.folder / "journal.jsonl"
    whole = path.read_bytes()
    later = whole.replace(b'"version":1', b'"version":2')
    for content in (whole + b"{]\n" + whole, b"", later, whole + whole, whole + b'{"type":"host_began"}\n'):
        path.write_bytes(content)
        with pytest.raises(JournalError, match="is no journal of a rollout"):
            Journal.resume(journal.folder)
        assert not journals.is_running(journal.folder)
    path.unlink()
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        journals.read(journal.folder)


def test_an_event_that_the_disk_has_no_room_for_did_not_happen() -> None:
    """It is told, and the journal stays as it was."""
    journal = Journal.create(begun())
    path = journal.folder / "journal.jsonl"
    size = path.stat().st_size
    pid = os.fork()
    if not pid:  # limits are a process's
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
        try:
            journal.add(HostBegan(time=3.0, host="a"))
        except JournalError as error:
            os._exit(0 if "cannot be written" in str(error) and journal.state.hosts["a"].state == "waiting" else 2)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert path.stat().st_size == size
    journal.close()


def test_a_rollout_is_found_by_its_id_or_the_end_of_it() -> None:
    """The newest where none is named."""
    with pytest.raises(UsageError, match="there is no rollout in"):
        journals.find(None)
    for name in ("20261101-000000-abcdef", "20261102-000000-123456"):
        Journal.create(begun(name)).close()
    assert journals.find(None).name == "20261102-000000-123456"
    assert journals.find("abcdef").name == journals.find("20261101-000000-abcdef").name == "20261101-000000-abcdef"
    for name in ("000000", "f", "../x", ""):
        with pytest.raises(UsageError, match="there is no rollout"):
            journals.find(name)


def test_another_terminal_can_ask_for_a_pause_or_an_end() -> None:
    """It is heard once; a resume forgets what was asked of the run before."""
    journal = Journal.create(begun())
    assert journal.wanted() is None
    journals.ask(journal.folder, "pause")
    assert journal.wanted() == "pause"
    journals.ask(journal.folder, "abort")
    assert journal.wanted() == "abort"
    journal.close()
    again = Journal.resume(journal.folder)
    assert again.wanted() is None
    again.close()
