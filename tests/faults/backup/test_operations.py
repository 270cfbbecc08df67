"""A fault at each operation of a store that each operation on a repository makes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.agent.backup.faulty import Fault
from tests.faults.backup.ground import listing, spooled
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.trial import AT_LOADS, READS, Outcome, Trial, Trials, faults

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
    operation = OPERATIONS[name]
    for number, fault in enumerate(faults(trials.calls(operation), what)):
        with trials.trial(operation) as trial:
            try:
                meet(trial, fault, by_restic=number % 2 == 0)
            except AssertionError as error:
                raise AssertionError(f"{name}, {fault}: {error}") from error


def meet(trial: Trial, fault: Fault, *, by_restic: bool) -> None:
    """One fault, and all that follows."""
    operation = trial.operation
    before = listing(trial.changed)
    outcome = trial.run(fault)
    judge(trial, fault, outcome)
    trial.unlock(by_restic=by_restic)
    if listing(trial.changed) == before:
        return  # as the clean run found it
    if outcome.code == 0 and fault.operation in READS and fault.at % 5:
        return  # as after a clean run; now and then that is looked at
    if operation.sound:
        trial.ground.accepts(trial.changed, operation.keeps(trial))
    trial.age_spool()
    if not operation.reached(trial):
        for then in (False, True) if operation.then else (False,):
            again = trial.run(then=then)
            assert again.code == 0, f"again: {again.said}"
        assert operation.reached(trial), "again"
        assert not spooled(trial.changed), "not cleaned"
        assert not trial.locks()
    trial.ground.accepts(trial.changed, operation.keeps(trial))


def judge(trial: Trial, fault: Fault, outcome: Outcome) -> None:
    """What the process itself must have said and done."""
    if fault.what in KILLS:
        assert outcome.code == -signal.SIGKILL, outcome
        return
    assert "Traceback" not in outcome.said, outcome.said
    assert outcome.met, "no fault"
    assert not spooled(trial.changed), "left in the spool"
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
