"""One bit of a repository is flipped."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from backup.maintain.check import CheckOptions, check
from backup.stores.contract import FileKind
from tests.faults.backup.ground import Ground, files, manifest, opened, restic
from tests.faults.backup.trial import Trials
from tests.peers import newest_restic

KINDS = [kind for kind in FileKind if kind is not FileKind.LOCK]
FLIPS = {FileKind.PACK: 8}
"""How many of a kind; 2 of the others."""


def flipped(place: Path, kind: FileKind) -> Path:
    """The file in which a bit is another now."""
    found = [place / "config"] if kind is FileKind.CONFIG else files(place, kind)
    file = random.choice(found)
    content = bytearray(file.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.chmod(0o600)
    file.write_bytes(content)
    return file


def restored(trials: Trials, place: Path, snapshot: str, to: Path, *codes: int) -> dict[str, str]:
    """What we bring back of it."""
    outcome = trials.life(place, "restore", snapshot, "--target", to)
    assert outcome.code in codes and "Traceback" not in outcome.said, outcome
    found = manifest(to / trials.ground.source.relative_to("/"))
    shutil.rmtree(to)
    return found


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS for _ in range(FLIPS.get(kind, 2))], ids=lambda kind: kind.name
)
def test_it_is_found_and_named(trials: Trials, tmp_path: Path, kind: FileKind) -> None:
    """Our check names the file, restic's fails too, and all that is not touched is restored as it was."""
    ground: Ground = trials.ground
    place = ground.copy("aged", tmp_path / "repository")
    file = flipped(place, kind)
    name = "config" if kind is FileKind.CONFIG else f"{kind.value}/{file.name}"
    outcome = trials.life(place, "check", "--read-data")
    assert outcome.code == 1 and "Traceback" not in outcome.said, outcome
    assert name[: len(kind.value) + 9] in outcome.said or file.name[:8] in outcome.said, outcome.said
    if kind is not FileKind.KEY:  # those of other passwords it does not look at
        assert restic(newest_restic(), place, "check", "--read-data", "--no-lock", code=None).returncode != 0
    if kind is FileKind.CONFIG:
        return  # it touches everything
    if kind is FileKind.KEY:
        password = {ground.second_key: "the one"}.get(file.name, "the second")
        assert trials.life(place, "snapshots", password=password).code == 0
        shutil.copy(ground.top / "aged" / name, tmp_path / "key")
        shutil.copy(tmp_path / "key", file)
    if kind is FileKind.INDEX:
        assert trials.life(place, "repair", "index").code == 0
        ground.accepts(place, ground.contents)
    report = check(opened(place), CheckOptions(read_data=True, processes=1))
    if kind not in (FileKind.INDEX, FileKind.KEY):
        assert name in {problem.file for problem in report.problems}, report.problems
    touched = {each.snapshot.id: each.paths for each in report.touched}
    for snapshot, saved in ground.contents.items():
        if kind is FileKind.SNAPSHOT and snapshot == file.name:
            continue
        if snapshot not in touched:
            assert restored(trials, place, snapshot, tmp_path / "restored", 0) == saved
            continue
        lost = [bytes(path).decode().removeprefix(f"{ground.source}/") for path in touched[snapshot]]
        assert lost, "nothing is named"
        found = restored(trials, place, snapshot, tmp_path / "restored", 1, 3)
        for path, digest in saved.items():
            if not any(path == each or path.startswith(f"{each}/") or each.startswith("/") for each in lost):
                assert found.get(path) == digest, path
