"""Writing that survives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kit.files import fsync_folder, write_durably


def test_writes_and_replaces(tmp_path: Path) -> None:
    """The new content stands there with the mode that was asked for, whatever the umask, and nothing else does."""
    target = tmp_path / "key"
    write_durably(target, b"one")
    old = os.umask(0o077)
    try:
        write_durably(target, b"two", mode=0o640)
    finally:
        os.umask(old)
    assert target.read_bytes() == b"two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


def test_old_content_stays_when_the_disk_is_full(tmp_path: Path) -> None:
    """Where the write fails, the old content is there and no temporary file is."""
    target = tmp_path / "state"
    target.write_bytes(b"old")
    # A limit on the size of files stands in for a full disk: the write fails half-way.
    program = (
        "import resource, signal, sys; from pathlib import Path; from kit.files import write_durably\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_durably(Path(sys.argv[1]), b'x' * 8192)\n"
        "except OSError: sys.exit(7)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert ended.returncode == 7
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "state"]


def test_no_trace_of_a_write_that_cannot_be(tmp_path: Path) -> None:
    """A folder in the way is an OSError, and nothing is left behind."""
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="target"):
        write_durably(tmp_path / "target", b"data")
    assert list(tmp_path.iterdir()) == [tmp_path / "target"]


def test_folder_must_be_one(tmp_path: Path) -> None:
    """Making a file's name durable needs its folder, so a file given for one is an error."""
    file = tmp_path / "file"
    file.touch()
    fsync_folder(tmp_path)
    with pytest.raises(NotADirectoryError):
        fsync_folder(file)
