"""The repository that is copied from meets a fault, or is damaged: the other is sound whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.stores.contract import FileKind
from tests.faults.backup.ground import Ground, files, flip, listing, opened
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.test_operations import ENDING, KILLS, PASSING, meet
from tests.faults.backup.trial import AT_LOADS, Trial, Trials, faults
from tests.peers import every_restic

COPY = OPERATIONS["copy"]


@pytest.mark.parametrize("what", [*KILLS, *ENDING, *PASSING, *AT_LOADS])
def test_a_fault_at_each_operation_of_the_source(trials: Trials, what: str) -> None:
    """Nothing changes in it, what is copied is whole, and the next copy goes on."""
    programs = every_restic()
    judges = programs
    # While one is only read the other is written to, so that it counts at which read the process dies.
    for number, fault in enumerate(faults(trials.calls(COPY, of_source=True), what, spared=("lost answer",))):
        with trials.trial(COPY) as trial:
            before = listing(trial.place)
            try:
                if meet(trial, fault, judges, faulty=trial.place):
                    judges = [programs[number % len(programs)]]
            except AssertionError as error:
                raise AssertionError(f"{fault}: {error}") from error
            assert listing(trial.place) == before


def damages(trial: Trial) -> Iterator[Path]:
    """Each file of the source in its turn, while a bit of it is wrong."""
    for kind in (FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK):
        for file in files(trial.place, kind):
            middle = file.stat().st_size // 2
            flip(file, middle)
            yield file
            flip(file, middle)


def test_a_damaged_source(trials: Trials, ground: Ground, tmp_path: Path) -> None:
    """The copy fails and says where, or what was damaged is nothing that it needs; what is there then is whole, and
    when the source is, the rest follows."""
    with trials.trial(COPY) as trial:
        copied = failed = 0
        for file in damages(trial):
            outcome = trial.run()
            assert "Traceback" not in outcome.said
            if outcome.code == 0:
                assert COPY.reached(trial), outcome.said
                break
            assert outcome.code == 1 and file.name[:8] in outcome.said, outcome.said
            assert not trial.spooled() and not trial.locks()
            failed += 1
            now = len(trial.snapshots())
            if now != copied or failed % 4 == 1:
                ground.accepts(trial.changed)
                copied = now
        assert failed > 3
        outcome = trial.run()
        assert outcome.code == 0 and COPY.reached(trial), outcome.said
        ground.accepts(trial.changed)
        for snapshot in opened(trial.changed).snapshots():
            ground.contents[snapshot.id] = ground.contents[str(snapshot.original)]
            ground.restores(trial.changed, snapshot.id, tmp_path / "restored")
            del ground.contents[snapshot.id]
