"""Work that is shared out to forked processes."""

from __future__ import annotations

import os
import signal

import pytest

from agent.backup.errors import DamagedError, RepositoryError
from agent.backup.maintain.workers import Workers


@pytest.mark.parametrize("count", [0, 1, 7, 512, 1300])
def test_each_number_is_worked_on_once(count: int) -> None:
    """However many there are, by processes other than this one."""
    with Workers(count, lambda number: (number, os.getpid()), processes=3) as workers:
        results = list(workers)
    assert sorted(number for number, _ in results) == list(range(count))
    assert os.getpid() not in {pid for _, pid in results}


def test_results_can_be_looked_for_without_waiting() -> None:
    """While the parent does something else."""
    with Workers(5, lambda number: number, processes=2) as workers:
        early = list(workers.ready())
        assert sorted([*early, *workers]) == list(range(5))


def test_what_work_raises_ends_all() -> None:
    """With its own words, where they are for the user."""

    def work(number: int) -> int:
        if number == 3:
            raise DamagedError("the third is damaged")
        return number

    with pytest.raises(DamagedError, match="the third is damaged"), Workers(9, work, processes=2) as workers:
        list(workers)


def test_a_mistake_in_a_process_is_told() -> None:
    """It does not pass for a result."""
    with (
        pytest.raises(RepositoryError, match="ZeroDivisionError"),
        Workers(1, lambda _: 1 / 0, processes=1) as workers,
    ):
        list(workers)


def test_a_killed_process_is_noticed() -> None:
    """Rather than waited for."""

    def work(number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(RepositoryError, match="killed"), Workers(4, work, processes=2) as workers:
        list(workers)


def test_processes_end_when_nobody_wants_their_work_any_more() -> None:
    """None is left behind."""
    with Workers(2, lambda number: signal.pause(), processes=2) as workers:
        pids = list(workers._pids.values())
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
