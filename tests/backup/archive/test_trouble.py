"""Files that change, vanish or cannot be read; workers and parents that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import pytest

from backup.archive import saving, walk, worker
from backup.archive.backup import run_backup, run_stream
from backup.archive.plan import Plan
from backup.archive.report import Outcome
from backup.errors import RepositoryError
from backup.format.node import MAX_PATH
from backup.restore.below import remove_all
from backup.stores.contract import FileKind
from tests.backup.archive.ground import Ground
from tests.peers import newest_restic
from tests.require import require_root

READ = worker._read


def reasons(outcome: Outcome) -> dict[str, str]:
    """What went wrong, by the name of the file."""
    return {Path(problem.path).name: problem.reason for problem in outcome.problems}


@pytest.mark.parametrize(
    ("change", "reason", "saved"),
    [
        (lambda path: path.open("ab").write(b"more"), "grew while it was read; what it had before was saved", 5000),
        (lambda path: os.truncate(path, 100), "shrank while it was read", 100),
        (lambda path: path.write_bytes(b"x" * 5000), "changed while it was read", 5000),
    ],
)
def test_a_file_that_changes_is_named_and_saved(
    ground: Ground,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    reason: str,
    saved: int,
) -> None:
    """What was read is in the snapshot, and the next run reads it again."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "calm").write_bytes(b"calm")
    (top / "busy").write_bytes(b"o" * 5000)

    def read(descriptor: int, size: int) -> bytes:
        if size == 5000:
            change(top / "busy")
        return READ(descriptor, size)

    monkeypatch.setattr(worker, "_read", read)
    outcome = ground.save(top, cached=True)
    assert reasons(outcome) == {"busy": reason}
    files = ground.files(outcome)
    node = files[os.fsencode(top) + b"/busy"]
    assert node.size == len(ground.content(node)) == saved
    assert ground.content(files[os.fsencode(top) + b"/calm"]) == b"calm"
    monkeypatch.undo()
    outcome = ground.save(top, cached=True)
    assert outcome.problems == []
    node = ground.files(outcome)[os.fsencode(top) + b"/busy"]
    assert ground.content(node) == (top / "busy").read_bytes()


def test_a_large_file_that_changes_is_named_and_saved(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with small ones, for those that the parent cuts; one that shrinks under it has what was read."""
    monkeypatch.setattr(walk, "LARGE", 1000)
    top = tmp_path / "top"
    top.mkdir()
    for name in ("grows", "shrinks", "fails"):
        (top / name).write_bytes(os.urandom(100_000))
    inner = saving.FileReader.read

    def read(self: saving.FileReader, into: memoryview) -> int:
        name = os.readlink(f"/proc/self/fd/{self._descriptor}").rsplit("/", 1)[1]  # noqa: PTH115
        if name == "grows":
            with (top / name).open("ab") as file:
                file.write(b"more")
        elif name == "shrinks":
            os.truncate(top / name, 50_000)
        else:
            raise OSError(5, "Input/output error")
        return inner(self, into)

    monkeypatch.setattr(saving.FileReader, "read", read)
    outcome = ground.save(top)
    assert reasons(outcome) == {
        "grows": "grew while it was read; what it had before was saved",
        "shrinks": "shrank while it was read",
        "fails": "cannot be read: Input/output error",
    }
    sizes = {
        name.rsplit(b"/", 1)[1]: node.size for name, node in ground.files(outcome).items() if node.type == "file"
    }
    assert sizes == {b"grows": 100_000, b"shrinks": 50_000}


def test_what_vanishes_is_named_only_if_it_was_seen(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone when it is opened, a folder that is gone when it is listed: both are named."""
    top = tmp_path / "top"
    (top / "folder").mkdir(parents=True)
    (top / "gone").write_bytes(b"gone")
    (top / "stays").write_bytes(b"stays")
    inner = walk.Walk._take

    def take(self: walk.Walk, folder: object, name: bytes, *rest: object) -> None:
        if name == b"gone":
            (top / "gone").unlink()
            (top / "folder").rmdir()
        inner(self, folder, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(walk.Walk, "_take", take)
    outcome = ground.save(top)
    assert reasons(outcome) == {
        "gone": "cannot be opened: No such file or directory",
        "folder": "cannot be listed: No such file or directory",
    }
    names = {path.rsplit(b"/", 1)[1] for path in ground.files(outcome)}
    assert b"stays" in names and not names & {b"gone", b"folder"}


@pytest.mark.root
def test_what_may_not_be_read_is_named(ground: Ground, tmp_path: Path) -> None:
    """As another user: files and folders without permission are named, each time, and the rest is saved."""
    require_root()
    top = tmp_path / "top"
    (top / "closed" / "inner").mkdir(parents=True)
    (top / "secret").write_bytes(b"secret")
    (top / "open").write_bytes(b"open")
    (top / "secret").chmod(0o600)
    for path in [ground.place, *ground.place.rglob("*")]:
        os.chown(path, 65534, 65534)
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == "root" and above != Path("/") and not above.stat().st_mode & 1:
            above.chmod(above.stat().st_mode | 0o11)
    (top / "closed").chmod(0o700)
    context = get_context("fork")
    receiving, sending = context.Pipe(duplex=False)

    def child() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        for _ in range(2):
            outcome = ground.save(top)
            sending.send((reasons(outcome), sorted(ground.files(outcome))[-1]))

    process = context.Process(target=child)
    process.start()
    sending.close()
    for _ in range(2):
        told, last = receiving.recv()
        assert told == {
            "closed": "cannot be listed: Permission denied",
            "secret": "cannot be opened: Permission denied",
        }
        assert last == os.fsencode(top) + b"/open"
    process.join()
    assert process.exitcode == 0


def test_a_target_that_is_not_there_is_named(ground: Ground, tmp_path: Path) -> None:
    """The others are saved; without any there is no snapshot."""
    (tmp_path / "there").touch()
    outcome = ground.save(tmp_path / "there", tmp_path / "not")
    assert reasons(outcome) == {"not": "is not there"}
    assert outcome.snapshot.paths == (str(tmp_path / "there"),)
    with pytest.raises(RepositoryError, match=r"none of the paths .*/not$"):
        ground.save(tmp_path / "not")


def test_what_lies_too_deep_is_named_and_left_out(ground: Ground, tmp_path: Path) -> None:
    """Deeper than would be restored; the rest is saved."""
    top = tmp_path / "top"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(140):
        os.mkdir(b"n" * 250, dir_fd=folder)
        inner = os.open(b"n" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    outcome = ground.save(top)
    assert [problem.reason.partition(" than ")[0] for problem in outcome.problems] == ["lies deeper"]
    folders = MAX_PATH // 251 - (len(os.fsencode(top)) > MAX_PATH % 251)
    assert outcome.summary.dirs_new == len(top.parts) - 1 + folders
    remove_all(os.open(tmp_path, os.O_RDONLY), b"top")  # which is deeper than pytest can


def test_parts_that_are_missing_are_stored_again(ground: Ground, tmp_path: Path) -> None:
    """Where an unchanged file's blobs are in no index, it is named and read again."""
    (tmp_path / "file").write_bytes(os.urandom(1000))
    first = ground.save(tmp_path / "file", cached=True).snapshot.id
    for index in (ground.place / "index").iterdir():
        index.unlink()
    outcome = ground.save(tmp_path / "file", cached=True)
    assert outcome.problem_count >= 1 and outcome.summary.data_blobs == 1
    (ground.place / "snapshots" / first).unlink()
    ground.restic(newest_restic(), "check", "--read-data", "--quiet")
    assert ground.save(tmp_path / "file", cached=True).problems == []


def test_nothing_is_written_in_a_dry_run(ground: Ground, tmp_path: Path) -> None:
    """It tells what would be added, and leaves the repository and the cache as they were."""
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    before = sorted(path for path in ground.place.rglob("*") if path.is_file())
    outcome = ground.save(tmp_path / "file", dry_run=True, cached=True)
    assert outcome.summary.data_blobs == 1 and outcome.summary.data_added > 100_000
    assert outcome.snapshot.id == "" and not ground.cache.exists()
    assert sorted(path for path in ground.place.rglob("*") if path.is_file()) == before


def test_an_unchanged_snapshot_can_be_skipped(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With skip_if_unchanged only a run that finds another tree writes a snapshot."""
    top = tmp_path / "top"
    top.mkdir()
    monkeypatch.chdir(tmp_path)
    assert ground.save("top", skip_if_unchanged=True, cached=True).snapshot.id
    assert not ground.save("top", skip_if_unchanged=True, cached=True).snapshot.id
    (top / "file").touch()
    assert ground.save("top", skip_if_unchanged=True, cached=True).snapshot.id


def test_a_stream_is_a_file(ground: Ground, tmp_path: Path) -> None:
    """Its content is cut into chunks; restic dumps it."""
    data = random.Random(3).randbytes(12 << 20)
    (tmp_path / "data").write_bytes(data)
    repository = ground.open()
    with repository.lock(), (tmp_path / "data").open("rb") as stream:
        outcome = run_stream(repository, Plan(), stream, "dumps/base.sql")
    assert outcome.snapshot.paths == ("/dumps/base.sql",) and outcome.summary.total_bytes_processed == len(data)
    assert ground.content(ground.files(outcome)[b"/dumps/base.sql"]) == data
    ground.restic(newest_restic(), "check", "--read-data", "--quiet")


# Death

PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.backup.archive.ground import PASSWORD
from agent.cli.backup.frame import raise_again
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.repository.opening import open_repository
from backup.stores.limit import LimitedStore
from backup.stores.local import LocalStore
from kit.errors import HostwardError
sys.unraisablehook = raise_again  # a signal may come while the interpreter's own hooks of a fork run
# Two seconds of work: whoever is to end it in the middle may be kept waiting.
store = LimitedStore(LocalStore(sys.argv[1]), upload=32 << 10)  # KiB a second
repository = open_repository(store, PASSWORD)
print("begun", flush=True)
try:
    with repository.lock():
        run_backup(repository, Plan((os.fsencode(sys.argv[2]),), workers=2), cache=Path(sys.argv[3]))
except HostwardError as error:
    print(error, flush=True)
    sys.exit(1)
"""


@contextmanager
def running(ground: Ground, source: Path) -> Iterator[subprocess.Popen[str]]:
    """A backup in a process of its own."""
    root = str(Path(__file__).parents[3])
    words = [sys.executable, "-c", PROGRAM.format(root=root), str(ground.place), str(source), str(ground.cache)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def children(process: int) -> list[int]:
    """Pids."""
    with suppress(FileNotFoundError):
        return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def much(tmp_path: Path) -> Path:
    """Some seconds of work."""
    top = tmp_path / "much"
    source = random.Random(4)
    for number in range(40):
        (top / str(number)).mkdir(parents=True)
        for name in range(20):
            (top / str(number) / str(name)).write_bytes(source.randbytes(20_000))
    (top / "large").write_bytes(source.randbytes(60 << 20))
    return top


def written(folder: Path) -> int:
    """Bytes in it, which change meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@pytest.mark.parametrize("moment", [0, 4 << 20, 16 << 20])
@pytest.mark.parametrize("victim", ["worker", "parent", "parent, asked"])
def test_who_is_killed_leaves_nothing_half(ground: Ground, much: Path, victim: str, moment: int) -> None:
    """A worker's death ends the run with one sentence; a parent's ends the workers. The next run is whole.

    The moment is told by the bytes that are written, of 76 MiB.
    """
    with running(ground, much) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_for(lambda: len(children(process.pid)) == 2)
        workers = children(process.pid)
        wait_for(lambda: written(ground.place) >= moment)
        if victim == "worker":
            os.kill(workers[0], signal.SIGKILL)
        else:
            process.send_signal(signal.SIGKILL if victim == "parent" else signal.SIGINT)
        told = process.stdout.read()
        code = process.wait(60)
        if victim == "worker":
            assert code == 1
            assert "was killed by signal 9" in told and told.count("\n") == 1
            assert not list((ground.place / "locks").iterdir())
        else:
            assert code == -(signal.SIGKILL if victim == "parent" else signal.SIGINT)
    for pid in workers:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists() or b"\0Z" in _status(pid))  # type: ignore[misc]
    ground.restic(newest_restic(), "unlock", "--remove-all")
    outcome = ground.save(much)
    assert outcome.problems == []
    assert outcome.summary.total_files_processed == 801
    ground.restic(newest_restic(), "check", "--read-data", "--quiet")


def _status(pid: int) -> bytes:
    with suppress(OSError):
        return b"\0" + Path(f"/proc/{pid}/stat").read_bytes().rsplit(b") ", 1)[-1][:1]
    return b"\0Z"


def test_a_full_disk_ends_the_run(ground: Ground, much: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes no more ends it with the store's own error, and nothing is spooled any more."""
    repository = ground.open()
    inner = repository.store.save
    failing = threading.Event()

    def save(kind: FileKind, name: str, content: object) -> None:
        if kind is FileKind.PACK and failing.is_set():
            raise RepositoryError("no space left")
        failing.set()
        inner(kind, name, content)  # type: ignore[arg-type]

    monkeypatch.setattr(repository.store, "save", save)
    with pytest.raises(RepositoryError, match="no space left"), repository.lock():
        run_backup(repository, Plan((os.fsencode(much),)))
    spool = repository.store.spool_folder()
    assert spool is not None and list(spool.iterdir()) == []
    assert list(repository.store.list(FileKind.SNAPSHOT)) == []
