"""Content that comes again within a run, among new content and in rows of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backup.archive import worker
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.format.pack import BlobKind
from backup.repository.packer import PackWriter, SealedBlob
from tests.backup.archive.ground import Ground

NEW, KNOWN = "new", "known"


@pytest.mark.parametrize("extra_verify", [True, False])
def test_what_comes_again_is_saved_once(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra_verify: bool
) -> None:
    """Whether or not it was taken for new; and it is taken for new after a row of new content alone, if verified."""
    top = tmp_path / "top"
    top.mkdir()
    contents: list[bytes] = []
    # In order of name, as one worker meets them.
    for number, kind in enumerate([NEW] * 12 + [KNOWN] * 5 + [NEW] * 20 + [KNOWN, NEW] * 5):
        content = contents[number % 12] if kind == KNOWN else b"%d " % number * 100
        (top / f"{number:03}").write_bytes(content)
        contents.append(content)
    early = tmp_path / "early"
    seal = PackWriter.seal

    def noting(self: PackWriter, plain: bytes | memoryview) -> SealedBlob:
        with early.open("ab") as stream:
            stream.write(b".")
        return seal(self, plain)

    monkeypatch.setattr(PackWriter, "seal", noting)
    repository = ground.open()
    repository.extra_verify = extra_verify
    with repository.lock():
        outcome = run_backup(repository, Plan((os.fsencode(top),), workers=1))
    assert not outcome.problems
    found = {os.fsdecode(path)[-3:]: node for path, node in ground.files(outcome).items()}
    for number, content in enumerate(contents):
        assert ground.content(found[f"{number:03}"]) == content
    saved = [id for kind, id, _ in ground.open().blobs if kind is BlobKind.DATA]
    assert len(saved) == len(set(saved)) == len(set(contents))
    taken = early.stat().st_size if early.exists() else 0
    # 12 new, 1 of the known; 20 new, 1 known; never between turns.
    assert taken == ((12 - worker._NEW_IN_A_ROW) + 1 + (20 - worker._NEW_IN_A_ROW) + 1 if extra_verify else 0)
