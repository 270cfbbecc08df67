"""One agent for each state folder."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.daemon.lock import Lock, is_held
from agent.state import State, StateError

HOLD = """
import sys
from pathlib import Path
from agent.daemon.lock import Lock

lock = Lock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_until_it_is_released(tmp_path: Path) -> None:
    """The second is refused with the folder's name; afterwards it is free."""
    assert not is_held(tmp_path)
    with Lock.take(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(StateError, match=f"already running on the state folder {tmp_path}"):
            Lock.take(tmp_path)
    assert not is_held(tmp_path)
    Lock.take(tmp_path).release()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """The kernel drops the lock with the process, and its children do not keep it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_held(tmp_path)
        process.kill()
    assert not is_held(tmp_path)


def test_looking_never_keeps_an_agent_from_starting(tmp_path: Path) -> None:
    """However often somebody asks for the status."""
    Lock.take(tmp_path).release()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_held(tmp_path)
            time.sleep(0)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            Lock.take(tmp_path).release()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(StateError, match="cannot be used: No such file or directory; choose a folder"):
        Lock.take(tmp_path / "missing")


@pytest.mark.parametrize("file", ["agent.lock", "agent.db"])
def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path, file: str) -> None:
    """The folder is the agent's user's: what it puts there must not have root make or change a file elsewhere."""
    folder, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / file).symlink_to(elsewhere)
    with pytest.raises(StateError, match="symbolic links"), Lock.take(folder):
        State.open(folder)
    assert not elsewhere.exists()
