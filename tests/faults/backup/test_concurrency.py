"""Several at work on one repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from backup.stores.contract import FileKind
from tests.faults.backup.ground import HOST, PASSWORD, checked, manifest, names, restic
from tests.faults.backup.trial import Outcome, Trials
from tests.peers import newest_restic

ROUNDS = 2


def sources(top: Path) -> list[Path]:
    """Two folders that have much in common."""
    common = os.urandom(300_000)
    made = []
    for name in ("left", "right"):
        folder = top / name
        folder.mkdir()
        (folder / "common").write_bytes(common)
        for number in range(40):
            (folder / f"own{number}").write_bytes(os.urandom(20_000))
        made.append(folder)
    return made


def judged(outcome: Outcome, *codes: int) -> None:
    """It ended in one of these ways."""
    assert outcome.code in codes and "Traceback" not in outcome.said, outcome


def restored(trials: Trials, folder: Path, to: Path) -> None:
    """Every snapshot that there is gives back what was saved: `contents` by its paths."""
    for snapshot in names(folder, FileKind.SNAPSHOT) & set(trials.ground.contents):
        trials.ground.restores(folder, snapshot, to)


@pytest.mark.parametrize("patience", ["0s", "60s"])
def test_two_backups_and_a_prune(trials: Trials, tmp_path: Path, patience: str) -> None:
    """The prune finds the repository locked or has it alone; nobody loses anything."""
    place = trials.ground.copy("aged", tmp_path / "repository")
    left, right = sources(tmp_path)
    made = 0
    for round in range(ROUNDS):
        (left / "own1").write_bytes(os.urandom(50_000 + round))
        at_work = [
            trials.begin(place, "run", folder, "--host", HOST, "--retry-lock", "60s", alone=False)
            for folder in (left, right)
        ]
        prune = trials.begin(place, "prune", "--max-unused", "0", "--retry-lock", patience, alone=False)
        judged(prune(), 0, 11) if patience == "0s" else judged(prune(), 0)
        for end in at_work:
            judged(end(), 0)
            made += 1
    assert len(names(place, FileKind.SNAPSHOT)) == len(trials.ground.contents) + made
    assert not list((place / "locks").iterdir())
    trials.ground.accepts(place, trials.ground.contents)
    restored(trials, place, tmp_path / "restored")
    last(place, left, tmp_path / "last")
    last(place, right, tmp_path / "last")


def test_both_programs_at_once(trials: Trials, tmp_path: Path) -> None:
    """The same, where one of the backups and one of two prunes are restic's."""
    place = trials.ground.copy("aged", tmp_path / "repository")
    left, right = sources(tmp_path)
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(place)}

    def peer(*words: object) -> subprocess.Popen[bytes]:
        command = [str(newest_restic()), "--no-cache", "--retry-lock", "60s", *map(str, words)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with peer("backup", left, "--host", HOST) as theirs, peer("prune", "--max-unused", "0") as pruning:
        ours = trials.begin(place, "run", right, "--host", HOST, "--retry-lock", "60s", alone=False)
        prune = trials.begin(place, "prune", "--max-unused", "0", "--retry-lock", "60s", alone=False)
        judged(ours(), 0)
        judged(prune(), 0)
        assert theirs.wait(90) == 0
        assert pruning.wait(90) == 0
    assert len(names(place, FileKind.SNAPSHOT)) == len(trials.ground.contents) + 2
    assert checked(place).sound
    trials.ground.accepts(place, trials.ground.contents)
    last(place, left, tmp_path / "last")
    last(place, right, tmp_path / "last")


def last(place: Path, folder: Path, to: Path) -> None:
    """The latest snapshot of a folder is what is in it."""
    restic(newest_restic(), place, "restore", "latest", "--path", folder, "--target", to, "--no-lock")
    assert manifest(to / folder.relative_to("/")) == manifest(folder)
