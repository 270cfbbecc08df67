"""One snapshot of several streams and paths."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.archive.streams import Readable, Stream
from kit.errors import HostwardError, UsageError
from tests.backup.archive.ground import Ground
from tests.peers import newest_restic


def stream(path: str, data: bytes) -> Stream:
    return Stream(path, lambda: nullcontext(io.BytesIO(data)))


class Failing(io.BytesIO):
    """Something, and then a failure instead of the end."""

    def readinto(self, into: memoryview, /) -> int:  # type: ignore[override]
        if count := super().readinto(into):
            return count
        raise HostwardError("it failed")


def snapshots(ground: Ground) -> int:
    return len(list(ground.open().snapshots(on_damaged=lambda name, error: None)))


def test_streams_and_paths_are_one_snapshot(ground: Ground, tmp_path: Path) -> None:
    """Each stream is a file at its path, beside the files; restic restores all of it."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"content of a")
    big = random.Random(4).randbytes(9 << 20)
    streams = [stream("/db/b.dump", big), stream("/db/a/c.sql", b""), stream("/zz", b"z"), stream("/0", b"0")]
    repository = ground.open()
    with repository.lock():
        plan = Plan((bytes(tmp_path / "files"),), workers=1)
        outcome = run_backup(repository, plan, streams=streams, names=("/db",))
    assert outcome.snapshot.paths == ("/db",) and not outcome.problems
    assert outcome.summary.total_files_processed == 5
    assert outcome.summary.total_bytes_processed == 12 + len(big) + 2
    ground.restic(newest_restic(), "check", "--read-data", "--quiet")
    target = tmp_path / "target"
    ground.restic(newest_restic(), "restore", "latest", "--target", target)
    assert (target / "db/b.dump").read_bytes() == big
    assert (target / "db/b.dump").stat().st_mode & 0o777 == 0o600
    assert [(target / path).read_bytes() for path in ("db/a/c.sql", "zz", "0")] == [b"", b"z", b"0"]
    assert (target / str(tmp_path).lstrip("/") / "files/a").read_bytes() == b"content of a"


def test_streams_are_opened_when_their_turn_comes_and_closed_after(ground: Ground) -> None:
    """A database is not dumped while another is read."""
    told: list[str] = []
    seen: list[tuple[bytes, int]] = []

    @contextmanager
    def opened(name: str) -> Iterator[Readable]:
        told.append(f"open {name}")
        yield io.BytesIO(name.encode())
        told.append(f"close {name}")

    repository = ground.open()
    with repository.lock():
        streams = [Stream(f"/db/{name}", lambda name=name: opened(name)) for name in "ba"]  # type: ignore[misc]
        run_backup(
            repository, Plan(workers=1), streams=streams, on_entry=lambda *entry: seen.append((entry[1], entry[2]))
        )
    assert seen == [(b"/db/b", 1), (b"/db/a", 1), (b"/db/", 0)]
    assert told == ["open b", "close b", "open a", "close a"]


def test_a_stream_that_fails_leaves_no_snapshot(ground: Ground) -> None:
    """Not even where others were read whole, or it fails on the way out."""

    @contextmanager
    def late() -> Iterator[Readable]:
        yield io.BytesIO(b"all of it")
        raise HostwardError("it failed late")

    failing = Stream("/db/b", lambda: nullcontext(Failing(random.Random(5).randbytes(3 << 20))))
    for bad in (failing, Stream("/db/b", late)):
        repository = ground.open()
        with repository.lock(), pytest.raises(HostwardError, match="it failed"):
            run_backup(repository, Plan(workers=1), streams=[stream("/db/a", b"good"), bad])
    assert snapshots(ground) == 0


@pytest.mark.parametrize("paths", [("/a/b", "/a/b/c"), ("/a/b/c", "/a/b"), ("/a", "//a"), ("/",), ("/etc/x",)])
def test_streams_that_would_be_in_each_others_way_are_refused(ground: Ground, paths: tuple[str, ...]) -> None:
    """Before anything is read."""

    def never() -> nullcontext[Readable]:
        raise AssertionError("it was opened")

    repository = ground.open()
    with repository.lock(), pytest.raises(UsageError):
        run_backup(repository, Plan((b"/etc/hostname",)), streams=[Stream(path, never) for path in paths])
    assert snapshots(ground) == 0
