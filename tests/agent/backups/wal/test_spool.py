"""The folder in which WAL waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.backups.wal.spool import SpoolError, archive, take_away, waiting
from kit.errors import UsageError
from tests.agent.backups.wal.segments import SIZE, SYSTEM, segment
from tests.agent.tmpfs import fill, small_disk
from tests.require import require_root

NAME = "000000010000000000000003"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o750)
    return folder


def test_a_segment_waits_under_its_name_with_its_time(tmp_path: Path, spool: Path) -> None:
    """A segment is in its cluster's folder, as it was, with the time at which PostgreSQL wrote to it last."""
    source = segment(tmp_path / NAME)
    os.utime(source, ns=(1, 1_700_000_000_123_456_789))

    archive(spool, source, NAME)

    (found,) = waiting(spool)
    assert found.path == spool / str(SYSTEM) / NAME and found.path.read_bytes() == source.read_bytes()
    assert found.mtime_ns == 1_700_000_000_123_456_789
    assert found.path.parent.stat().st_mode & 0o777 == 0o750


def test_the_same_file_again_is_no_mistake_and_another_is(tmp_path: Path, spool: Path) -> None:
    """PostgreSQL may archive a file twice; another file of the same name is refused, and the first one stays."""
    source = segment(tmp_path / NAME)
    archive(spool, source, NAME)
    archive(spool, source, NAME)
    other = segment(tmp_path / "other", filling=b"y")

    with pytest.raises(SpoolError, match="is there already, and is another file"):
        archive(spool, other, NAME)

    assert (spool / str(SYSTEM) / NAME).read_bytes() == source.read_bytes()
    assert len(list((spool / str(SYSTEM)).iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "reason"), [(b"x" * SIZE, "is no segment of WAL"), (b"", "is no segment"), (None, "No such file")]
)
def test_what_is_no_segment_is_refused(tmp_path: Path, spool: Path, content: bytes | None, reason: str) -> None:
    """A file that does not begin as a segment, or is not there, is not taken."""
    source = tmp_path / NAME
    if content is not None:
        source.write_bytes(content)

    with pytest.raises(SpoolError, match=reason):
        archive(spool, source, NAME)

    assert waiting(spool) == []


def test_a_segment_that_is_cut_off_is_refused(tmp_path: Path, spool: Path) -> None:
    """The header says how long a segment is."""
    source = segment(tmp_path / NAME)
    os.truncate(source, SIZE - 1)

    with pytest.raises(SpoolError, match=f"is {SIZE - 1} bytes long; expected {SIZE}"):
        archive(spool, source, NAME)


def test_other_names_are_refused(tmp_path: Path, spool: Path) -> None:
    """A name that PostgreSQL does not archive is bad usage, whatever it would name in the spool."""
    source = segment(tmp_path / NAME)
    for name in ("../../etc/passwd", "00000001", f"{NAME}.tmp", ""):
        with pytest.raises(UsageError, match="is no file that PostgreSQL archives"):
            archive(spool, source, name)


def test_without_a_spool_the_server_keeps_its_wal(tmp_path: Path) -> None:
    """A spool that is not there is not made: its disk may not be mounted."""
    source = segment(tmp_path / NAME)

    with pytest.raises(SpoolError, match=f"No such file or directory; {NAME} stays with PostgreSQL"):
        archive(tmp_path / "nowhere", source, NAME)


def test_a_history_file_goes_to_the_cluster_in_whose_folder_it_is_archived(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History files do not name their cluster: the control file of the data folder does."""
    source = tmp_path / "00000002.history"
    source.write_text("1\t0/5000000\tno recovery target specified\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpoolError, match="expected to be run by PostgreSQL, in its data folder"):
        archive(spool, source, source.name)
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "pg_control").write_bytes(SYSTEM.to_bytes(8, sys.byteorder) + b"rest")

    archive(spool, source, source.name)
    take_away(waiting(spool))

    assert [file.path for file in waiting(spool)] == [spool / str(SYSTEM) / source.name]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """Without room the file is not taken, and no part of it is left."""
    require_root()
    source = segment(tmp_path / NAME)
    with small_disk(tmp_path / "disk", size="2M") as disk:
        (disk / "spool").mkdir()
        fill(disk / "filler")

        with pytest.raises(SpoolError, match="No space left on device"):
            archive(disk / "spool", source, NAME)

        assert not any((disk / "spool").rglob("*.tmp")) and waiting(disk / "spool") == []
        (disk / "filler").unlink()
        archive(disk / "spool", source, NAME)


_KILLED = """
import os, signal, sys
from pathlib import Path
from agent.backups.wal import spool
left = [0]
def die_at(name):
    before = getattr(os, name)
    def called(*words, **more):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return before(*words, **more)
    setattr(os, name, called)
folder, source = Path(sys.argv[1]), Path(sys.argv[2])
for step in range(100):
    if not (child := os.fork()):
        left[0] = step
        for name in ("open", "fsync", "rename", "unlink", "utime", "pread", "fchmod"):
            die_at(name)
        spool.archive(folder, source, source.name)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert all(file.path.read_bytes() == source.read_bytes() for file in spool.waiting(folder))
    spool.archive(folder, source, source.name)
    (found,) = spool.waiting(folder)
    assert list(found.path.parent.iterdir()) == [found.path]
    found.path.unlink()
    if code == 0:
        break
    assert code == -signal.SIGKILL
print(step)
"""


def test_a_kill_at_any_step_loses_nothing_and_shows_nothing_half(tmp_path: Path, spool: Path) -> None:
    """Killed at any system call, the file is there whole or not at all, and the next try puts it there."""
    source = segment(tmp_path / NAME)
    done = subprocess.run([sys.executable, "-c", _KILLED, spool, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 8 < int(done.stdout) < 99
