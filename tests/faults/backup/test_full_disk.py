"""No room is left for the repository, or for what is spooled on the way to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from backup.repository.locks import remove_locks
from backup.stores.contract import FileKind
from tests.agent.tmpfs import fill, small_disk
from tests.faults.backup.ground import files, opened, spooled
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.trial import Operation, Outcome, Trial, Trials
from tests.require import require_root

pytestmark = pytest.mark.root

PAGE = 4096
ROOMS = (0, 1, 2, 4, 16)
"""Pages that are left: none, for a lock, and for something more."""
ON_DISK = (
    "first backup",
    "backup",
    "prune",
    "forget",
    "forget and prune",
    "key add",
    "key passwd",
    "rewrite",
    "copy",
)


def told(outcome: Outcome) -> None:
    """One sentence says it."""
    assert outcome.code == 1, outcome
    assert "Traceback" not in outcome.said
    lines = [line for line in outcome.said.splitlines() if line.startswith("hostward")]
    assert len(lines) == 1 and "No space left on device" in lines[0], outcome.said


def fill_but(ballast: Path, pages: int) -> None:
    """Leave so much room."""
    fill(ballast)
    os.truncate(ballast, max(ballast.stat().st_size // PAGE - pages, 0) * PAGE)


def heals(trial: Trial) -> None:
    """All is there, and works again."""
    operation = trial.operation
    remove_locks(opened(trial.changed), all=False, now=0)
    assert not trial.locks()
    trial.ground.accepts(trial.changed, operation.keeps(trial))
    if not operation.reached(trial):
        for then in (False, True) if operation.then else (False,):
            again = trial.run(then=then)
            assert again.code == 0, again.said
    assert operation.reached(trial)
    assert not trial.spooled() and not trial.locks()
    trial.ground.accepts(trial.changed, operation.keeps(trial))


@pytest.mark.parametrize("name", ON_DISK)
def test_a_repository_on_a_full_disk(trials: Trials, name: str, tmp_path: Path) -> None:
    """One sentence, nothing is lost, and it works again once there is room."""
    require_root()
    operation: Operation = OPERATIONS[name]
    for pages in ROOMS:
        with trials.trial(operation) as trial:
            made = shutil.move(trial.changed, tmp_path / "made")
            with small_disk(trial.changed, size="6M") as disk:
                shutil.copytree(made, disk, dirs_exist_ok=True)
                ballast = disk / "ballast"
                fill_but(ballast, pages)
                outcome = trial.run()
                if outcome.code:
                    told(outcome)
                    assert not spooled(disk)
                else:
                    assert pages and operation.reached(trial), outcome.said
                ballast.unlink()
                heals(trial)
            shutil.rmtree(made)


@pytest.mark.parametrize("name", ["first backup", "backup", "prune"])
def test_a_temporary_folder_on_a_full_disk(trials: Trials, name: str, tmp_path: Path) -> None:
    """What is spooled there for another place finds no room: the same."""
    require_root()
    with small_disk(tmp_path / "tmp", size="1M") as disk, trials.trial(OPERATIONS[name]) as trial:
        fill_but(disk / "ballast", 1)  # Python takes no folder for temporary files that it cannot write to
        outcome = trial.run(environment={"TMPDIR": str(disk)}, remote=True)
        told(outcome)
        assert [path.name for path in disk.iterdir()] == ["ballast"]
        heals(trial)


@pytest.mark.parametrize("pages", [0, 1, 200, 263, 264, 265, 270])
def test_a_new_repository_on_a_full_disk(trials: Trials, tmp_path: Path, pages: int) -> None:
    """It says so, and can be made once there is room."""
    require_root()
    with small_disk(tmp_path / "disk", size="2M") as disk:
        fill_but(disk / "ballast", pages)
        outcome = trials.life(disk / "repository", "init")
        if outcome.code:
            told(outcome)
            (disk / "ballast").unlink()
            assert trials.life(disk / "repository", "init").code == 0
        trials.ground.accepts(disk / "repository")
        assert len(files(disk / "repository", FileKind.KEY)) == 1
