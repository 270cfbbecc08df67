"""Folders for a while: private, gone afterwards, and gone with the next run where this one was killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.backups.temporary import temporary_folder

PREFIX = "hostward-temporary-"
HOLD = """
import sys, time
from pathlib import Path
from agent.backups.temporary import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "inner").mkdir()
    (folder / "inner/file").write_text("left behind")
    (folder / "inner").chmod(0o500)
    print(folder.name, flush=True)
    time.sleep(100)
"""


def folders(above: Path) -> list[str]:
    return sorted(path.name for path in above.iterdir())


def test_it_is_for_its_owner_alone_and_gone_afterwards(tmp_path: Path) -> None:
    """Also where the run failed, and with read-only folders in it."""
    with pytest.raises(RuntimeError), temporary_folder(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "inner").mkdir()
        (folder / "inner/file").touch()
        (folder / "inner").chmod(0o500)
        raise RuntimeError
    assert folders(tmp_path) == []


def test_a_mode_holds_whatever_the_umask_is(tmp_path: Path) -> None:
    """The server of a database must get through to its own folder."""
    before = os.umask(0o077)
    try:
        with temporary_folder(tmp_path, mode=0o711) as folder:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    finally:
        os.umask(before)


def test_what_a_killed_run_left_the_next_one_removes_and_leaves_others_alone(tmp_path: Path) -> None:
    """The folder of one that runs is locked; what is called otherwise is somebody else's."""
    (tmp_path / "other").mkdir()
    (tmp_path / f"{PREFIX}file").touch()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        with temporary_folder(tmp_path) as folder:
            assert {name, folder.name} <= set(folders(tmp_path))
        assert name in folders(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait(60)
        assert name in folders(tmp_path)
        with temporary_folder(tmp_path):
            assert name not in folders(tmp_path)
    finally:
        holder.kill()
        holder.wait(60)
        assert holder.stdout is not None
        holder.stdout.close()
    assert folders(tmp_path) == [f"{PREFIX}file", "other"]


def test_a_place_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(FileNotFoundError, match="absent"), temporary_folder(tmp_path / "absent"):
        pass
