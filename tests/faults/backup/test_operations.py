"""A fault at each operation of a store that each operation on a repository makes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.backup.faulty import Fault
from tests.faults.backup.ground import listing
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.trial import AT_LOADS, READS, Outcome, Trial, Trials, faults
from tests.peers import every_restic

PASSING = ("failing once", "lost answer")
"""Faults that are over when the operation is tried again."""
ENDING = ("failing for ever", "disk full")
KILLS = ("killed before", "killed after", "killed within")


def cases() -> Iterator[tuple[str, str]]:
    """(operation, fault)."""
    for name in OPERATIONS:
        for what in (*KILLS, *ENDING, *PASSING, *AT_LOADS):
            # A repository that gives nothing but wrong bytes is what a repair is there to give up.
            if not (name.startswith("repair") and what == "wrong bytes for ever"):
                yield name, what


@pytest.mark.parametrize(("name", "what"), list(cases()))
def test_a_fault_at_each_operation_of_the_store(trials: Trials, name: str, what: str) -> None:
    """No snapshot is lost, restic accepts what is there, and the next run ends well and leaves nothing behind."""
    operation, programs = OPERATIONS[name], every_restic()
    judges = programs
    for number, fault in enumerate(faults(trials.calls(operation), what)):
        with trials.trial(operation) as trial:
            try:
                if meet(trial, fault, judges):
                    judges = [programs[number % len(programs)]]
            except AssertionError as error:
                raise AssertionError(f"{name}, {fault}: {error}") from error


def meet(trial: Trial, fault: Fault, programs: Sequence[Path], *, faulty: Path | None = None) -> bool:
    """One fault, and all that follows; whether these programs of restic had something new to look at."""
    operation = trial.operation
    before = listing(trial.changed)
    outcome = trial.run(fault, faulty=faulty)
    judge(trial, fault, outcome)
    trial.unlock(by_restic=fault.at % 2 == 0)
    if listing(trial.changed) == before:
        return False  # as the clean run found it
    if outcome.code == 0 and fault.operation in READS and fault.at % 5:
        return False  # as after a clean run; now and then that is looked at
    if operation.sound:
        trial.ground.accepts(trial.changed, operation.keeps(trial), programs=programs)
    trial.age_spool()
    if not operation.reached(trial):
        for then in (False, True) if operation.then else (False,):
            again = trial.run(then=then)
            assert again.code == 0, f"again: {again.said}"
        assert operation.reached(trial), "again"
        assert not trial.spooled(), "not cleaned"
        assert not trial.locks()
    # What a clean run makes of it is looked at by restic now and then, and by ourselves always.
    trial.ground.accepts(trial.changed, operation.keeps(trial), programs=() if fault.at % 3 else programs)
    return True


def judge(trial: Trial, fault: Fault, outcome: Outcome) -> None:
    """What the process itself must have said and done."""
    if fault.what in KILLS:
        assert outcome.code == -signal.SIGKILL, outcome
        return
    assert "Traceback" not in outcome.said, outcome.said
    assert outcome.met, "no fault"
    assert not trial.spooled(), "left in the spool"
    if outcome.code == 0:
        assert trial.operation.reached(trial), f"said to be done: {outcome.said}"
        return
    assert fault.what not in PASSING, outcome.said
    if outcome.code == 3:
        assert trial.operation.reached(trial), outcome.said  # what it was compared with could not be read
    else:
        assert outcome.code == 1 or (outcome.code == 11 and "cannot be read" in outcome.said), outcome
    assert any(line.startswith("hostward") for line in outcome.said.splitlines()), outcome.said
    if fault.what != "failing for ever":
        assert not trial.locks(), "a lock was left"
