"""The scan ahead of a backup counts what the backup then saves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from backup.archive import scan as scanning
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.archive.report import Progress
from backup.archive.scan import ScanAhead
from backup.archive.scope import FileSystems, Scope
from backup.archive.targets import plan_targets
from backup.select.filters import CACHE_MARK, Mark
from tests.agent.tmpfs import small_disk
from tests.backup.archive.ground import Ground
from tests.require import require_root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Some of everything that a scope looks at."""
    top = tmp_path / "source"
    for name in ("a/keep", "a/cache/data", "a/cache/more/data", "b/big", "b/c.tmp", "b/marked/x", "top"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(name.encode())
    (top / "a/cache/CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55")
    (top / "b/marked/.nobackup").touch()
    (top / "b/big").write_bytes(bytes(5000))
    (top / "b/link").symlink_to("big")
    (top / os.fsdecode(b"a/\xff")).write_bytes(b"odd")
    os.mkfifo(top / "pipe")
    return top


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope((b"*.tmp", b"keep")),
        Scope(larger_than=100),
        Scope(marks=(CACHE_MARK,)),
        Scope((b"CACHEDIR.TAG",), marks=(CACHE_MARK, Mark.parse(b".nobackup"))),
        Scope(insensitive=(b"TOP",), one_file_system=True),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("targets", [("",), ("a", "b/c.tmp"), ("", "b/big"), (".",), ("missing", "a/../b")])
def test_what_is_counted_is_what_is_saved(
    source: Path, tmp_path: Path, scope: Scope, targets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and bytes, whatever is left out."""
    monkeypatch.chdir(source)
    named = [os.fsencode(name if name == "." else source / name) for name in targets]
    outcome = Ground(tmp_path / "repository").save(*named, scope=scope)
    found = scanning.scan(plan_targets([name for name in named if os.path.lexists(name)]), scope, None)
    assert found == (outcome.summary.total_files_processed, outcome.summary.total_bytes_processed)


def test_other_file_systems_are_not_counted_where_they_are_not_saved(source: Path, tmp_path: Path) -> None:
    """As with --one-file-system."""
    require_root()
    named = os.fsencode(source)
    with small_disk(source / "disk", size="1m"):
        (source / "disk" / "file").write_bytes(b"there")
        saved = Ground(tmp_path / "repository").save(source, scope=Scope(one_file_system=True)).summary
        alone = scanning.scan(plan_targets([named]), Scope(), FileSystems({named: os.lstat(named).st_dev}))
        whole = scanning.scan(plan_targets([named]), Scope(), None)
    assert alone == (saved.total_files_processed, saved.total_bytes_processed)
    assert whole == (alone[0] + 1, alone[1] + 5)


def totals(ground: Ground, source: Path, **plan: Any) -> tuple[int | None, int | None]:
    """What the progress of a backup knew at its end, of which the scan was awaited."""
    told: list[Progress] = []
    repository = ground.open()
    with repository.lock():
        run_backup(
            repository, Plan((os.fsencode(source),), dry_run=True, **plan), on_progress=told.append, scan_ahead=True
        )
    repository.store.close()
    return told[-1].total_files, told[-1].total_size


def test_a_first_backup_knows_its_total_where_somebody_watches(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a scan; the next one has the figures of the one before, and scans nothing."""
    ground = Ground(tmp_path / "repository")
    scans = []

    class Awaited(ScanAhead):
        """Whose first answer is waited for, so that the test knows that there is one."""

        def totals(self) -> scanning.Totals | None:
            if not scans:
                assert self._forked is not None
                scans.extend(found for _, found in self._forked.outcomes())
                return scans[0]
            return None

    monkeypatch.setattr("backup.archive.backup.ScanAhead", Awaited)
    first = ground.save(source)
    assert scans == []
    expected = (first.summary.total_files_processed, first.summary.total_bytes_processed)
    assert totals(ground, source) == expected
    assert scans == []
    assert totals(ground, source, force=True) == expected
    assert scans == [expected]


def test_a_scan_that_goes_on_ends_with_the_backup(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process is left, and nobody waits for it."""
    reading, writing = os.pipe()
    monkeypatch.setattr(scanning, "scan", lambda *words: os.read(reading, 1))
    ground = Ground(tmp_path / "repository")
    before = psutil.Process().children()
    assert totals(ground, source) == (None, None)
    assert psutil.Process().children() == before
    os.close(reading)
    os.close(writing)


def test_a_scan_that_fails_fails_no_backup(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one for which there is no process."""
    monkeypatch.setattr(scanning, "scan", None)
    assert totals(Ground(tmp_path / "one"), source) == (None, None)
    scan = ScanAhead.__new__(ScanAhead)
    scan._forked = None
    assert scan.totals() is None
    scan.end()
