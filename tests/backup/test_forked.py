"""Tasks that are shared out to forked processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from backup.errors import DamagedError, RepositoryError
from backup.forked import Forked


@pytest.mark.parametrize("count", [0, 1, 7, 1024, 2600])
def test_each_task_is_worked_on_once(count: int) -> None:
    """However many there are, by processes other than this one."""
    tasks = [str(number) for number in range(count)]
    with Forked(tasks, lambda task: (task, os.getpid()), 3) as running:
        outcomes = dict(running.outcomes())
    assert [outcomes[place][0] for place in range(count)] == tasks
    assert os.getpid() not in {pid for _, pid in outcomes.values()}


def test_outcomes_can_be_looked_for_without_waiting() -> None:
    """While the parent does something else."""
    with Forked(range(5), lambda task: task, 2) as running:
        early = list(running.outcomes(block=False))
        assert sorted([*early, *running.outcomes()]) == [(place, place) for place in range(5)]
        assert list(running.outcomes()) == []


def test_what_work_raises_ends_all() -> None:
    """With its own words, where they are for the user."""

    def work(task: int) -> int:
        if task == 3:
            raise DamagedError("the third is damaged")
        return task

    with pytest.raises(DamagedError, match="the third is damaged"), Forked(range(9), work, 2) as running:
        list(running.outcomes())


def test_a_mistake_in_a_process_is_told() -> None:
    """With what it was: it does not pass for an outcome."""
    with (
        pytest.raises(RepositoryError, match="ZeroDivisionError"),
        Forked([1, 0], lambda task: 1 / task, 2) as running,
    ):
        list(running.outcomes())


def test_a_process_that_dies_is_told() -> None:
    """Each time that somebody asks; what it had to do is not taken to be done."""

    def work(task: int) -> int:
        if task == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    done: list[tuple[int, int]] = []
    with Forked(range(8), work, 2) as running:
        with pytest.raises(RepositoryError, match="killed"):
            done.extend(running.outcomes())
        with pytest.raises(RepositoryError, match="killed"):
            done.extend(running.outcomes())
    assert 3 not in dict(done)


def test_processes_end_when_nobody_wants_their_work_any_more() -> None:
    """None is left behind."""
    with Forked(range(2), lambda _: signal.pause(), 2) as running:
        pids = list(running._pids.values())
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_processes_die_with_a_parent_that_is_killed() -> None:
    """Whatever they are doing: their ends of its output are closed."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, signal\n"
            "from backup.forked import Forked\n"
            "running = Forked(range(2), lambda _: (os.write(1, b'%d\\n' % os.getpid()), signal.pause()), 2)\n"
            "signal.pause()\n",
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    try:
        assert parent.communicate(timeout=30)[0] == b""
    except subprocess.TimeoutExpired:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        raise
