"""Processes by name, pattern and pid file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks import process
from agent.checks.contract import CheckError, Context, Sample, Threshold
from agent.checks.process import PAGE, TICKS_PER_SECOND, Process, ProcessOptions, Stat, parse_stat
from agent.checks.runner import Plan, judge
from agent.paths import System
from kit.units import Duration
from tests.agent.checks.tree import NOW, collect, tree, values


def stat(pid: int, name: str, *, state: str = "S", cpu: int = 0, started: int = 100, resident: int = 10) -> str:
    fields = [state, *["0"] * 10, str(cpu), "0", *["0"] * 6, str(started), "0", str(resident), *["0"] * 28]
    return f"{pid} ({name}) {' '.join(fields)}\n"


def proc(*lines: str, **command_lines: str) -> dict[str, str]:
    """Files of /proc: `proc(stat(7, "nginx"), p7="nginx -g")`."""
    files = {f"proc/{line.split()[0]}/stat": line for line in lines}
    files |= {f"proc/{pid[1:]}/cmdline": text.replace(" ", "\0") + "\0" for pid, text in command_lines.items()}
    return files | {"proc/self/": "", "proc/uptime": "1 1"}


def count(sample: Sample) -> float:
    return values(sample)["process_count"]


def test_by_name_the_dead_do_not_count(tmp_path: Path) -> None:
    """Memory is of all of them together."""
    system = tree(tmp_path, proc(stat(7, "nginx"), stat(8, "nginx", state="Z"), stat(9, "sshd"), stat(10, "nginx")))
    found = values(collect(Process(ProcessOptions(name="nginx")), system))
    assert found == {
        "process_count": 2,
        "process_memory_bytes": 20 * PAGE,
        "process_restarts": 0,
        "process_restarts_total": 0,
    }


def test_of_a_long_name_fifteen_characters_count(tmp_path: Path) -> None:
    """The kernel keeps no more."""
    system = tree(tmp_path, proc(stat(7, "systemd-journal")))
    assert count(collect(Process(ProcessOptions(name="systemd-journald")), system)) == 1


def test_by_pattern_in_the_command_line(tmp_path: Path) -> None:
    """Kernel threads have none; it runs where it can be stopped, because reading a command line can hang."""
    system = tree(
        tmp_path,
        proc(stat(7, "python3"), stat(8, "python3"), stat(2, "kthreadd"), p7="python3 worker.py", p8="python3"),
    )
    check = Process(ProcessOptions(pattern=r"^python3 worker\.py$"))
    assert count(collect(check, system)) == 1
    assert count(collect(Process(ProcessOptions(pattern=".")), system)) == 2
    assert check.runs == "job"
    assert Process(ProcessOptions(name="x")).runs == "inline"


@pytest.mark.parametrize(("text", "expected"), [("7\n", 1), ("8\n", 0), (None, 0)])
def test_by_pid_file(tmp_path: Path, text: str | None, expected: int) -> None:
    """A file that is missing, or names a process that is gone, is no process."""
    system = tree(tmp_path, proc(stat(7, "x")) | ({} if text is None else {"run/x.pid": text}))
    assert count(collect(Process(ProcessOptions(pidfile="/run/x.pid")), system)) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "7 8", "9" * 100])
def test_a_pid_file_that_holds_no_number_is_an_error(tmp_path: Path, text: str) -> None:
    """Not an absent process."""
    system = tree(tmp_path, proc() | {"run/x.pid": text})
    with pytest.raises(CheckError, match=r"run/x\.pid does not hold the number of a process"):
        collect(Process(ProcessOptions(pidfile="/run/x.pid")), system)


def test_a_pid_file_that_is_a_pipe_does_not_hang(tmp_path: Path) -> None:
    """Opening one waits for a writer, if it may."""
    system = tree(tmp_path, proc() | {"run/": ""})
    os.mkfifo(tmp_path / "run/x.pid")
    with pytest.raises(CheckError, match="does not hold"):
        collect(Process(ProcessOptions(pidfile="/run/x.pid")), system)


def test_cpu_time_between_two_samples(tmp_path: Path) -> None:
    """Of the processes that were there in both, in percent of one CPU."""
    check = Process(ProcessOptions(name="x", rescan=Duration(5)))
    system = tree(tmp_path, proc(stat(7, "x", cpu=100), stat(8, "x", cpu=5)))
    first = collect(check, system)
    assert "process_cpu_percent" not in values(first)
    tree(tmp_path, proc(stat(7, "x", cpu=100 + 3 * TICKS_PER_SECOND), stat(8, "x", cpu=9000, started=777)))
    second = collect(check, system, after=first, elapsed=10)
    assert values(second)["process_cpu_percent"] == pytest.approx(30)


def test_proc_is_walked_only_when_it_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first, when a known process is gone or another has its number, and after `rescan`."""
    walks: list[System] = []
    pids = process._pids

    def counted(system: System) -> Iterator[int]:
        walks.append(system)
        return pids(system)

    monkeypatch.setattr(process, "_pids", counted)
    check = Process(ProcessOptions(name="x", rescan=Duration(60)))
    system = tree(tmp_path, proc(stat(7, "x"), stat(8, "x")))
    sample = collect(check, system)
    assert len(walks) == 1
    tree(tmp_path, proc(stat(9, "x")))
    for _ in range(3):
        sample = collect(check, system, after=sample, elapsed=15)
        assert (len(walks), count(sample)) == (1, 2)
    sample = collect(check, system, after=sample, elapsed=15)
    assert (len(walks), count(sample)) == (2, 3)
    tree(tmp_path, proc(stat(8, "x", started=999)))
    sample = collect(check, system, after=sample, elapsed=15)
    assert (len(walks), count(sample)) == (3, 3)
    (tmp_path / "proc/7/stat").unlink()
    sample = collect(check, system, after=sample, elapsed=15)
    assert (len(walks), count(sample)) == (4, 2)


def test_while_nothing_is_found_it_is_looked_for_now_and_then(tmp_path: Path) -> None:
    """Not at every run: a process that is down must not make its host slow."""
    check = Process(ProcessOptions(name="x", rescan=Duration(60)))
    system = tree(tmp_path, proc())
    sample = collect(check, system)
    tree(tmp_path, proc(stat(9, "x")))
    assert count(collect(check, system, after=sample, elapsed=15)) == 0
    assert count(collect(check, system, after=sample, elapsed=60)) == 1


@pytest.mark.parametrize("options", [{}, {"name": "a", "pattern": "b"}, {"pattern": "("}])
def test_what_cannot_be_meant_is_refused(options: dict[str, str]) -> None:
    """Exactly one way to say which, and a pattern that is one."""
    with pytest.raises(ValueError, match=r"exactly one of name, pattern and pidfile|pattern is not a regular"):
        ProcessOptions(**options)


@pytest.mark.parametrize("name", ["nginx", "a b", "(sd-pam)", "x) S 1 (y", "", "tmux: server"])
def test_names_may_hold_anything(name: str) -> None:
    """Parentheses and spaces too."""
    assert parse_stat(stat(7, name, cpu=5, started=3, resident=2)) == Stat(name, "S", 5, 3, 2)


@given(st.text() | st.text(alphabet="() 0123456789S-", max_size=200))
def test_any_text_is_a_line_or_a_value_error(text: str) -> None:
    """Nothing else comes of reading it."""
    with suppress(ValueError):
        assert isinstance(parse_stat(text), Stat)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "hostward-test-sleeper"])
    yield child
    child.kill()
    child.wait()


def test_a_real_process_comes_and_goes(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """It is found by its command line and by its pid file, and missed as soon as it is gone."""
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{sleeper.pid}\n")
    # The child execs in its own time.
    check = Process(ProcessOptions(pattern="import time; .* hostward-test-sleeper$"))
    sample = collect(check)
    while count(sample) == 0 and sleeper.poll() is None:
        sample = collect(check)
    by_file = collect(Process(ProcessOptions(pidfile=str(pidfile))))
    assert count(sample) == count(by_file) == 1
    assert values(by_file)["process_memory_bytes"] > 0
    sleeper.kill()
    sleeper.wait()
    assert count(collect(check, after=sample)) == 0


def restarts(sample: Sample) -> tuple[float, float]:
    found = values(sample)
    return found["process_restarts"], found["process_restarts_total"]


def test_a_process_in_the_place_of_one_that_is_gone_is_a_restart(tmp_path: Path) -> None:
    """Whether it is there at the next look or later; one that is added or gone for good is none."""
    check = Process(ProcessOptions(name="x", rescan=Duration(5)))
    sample = collect(check, tree(tmp_path / "1", proc(stat(7, "x"), stat(8, "x"))))
    sample = collect(check, tree(tmp_path / "2", proc(stat(7, "x"), stat(9, "x"))), after=sample)
    assert restarts(sample) == (1, 1)
    sample = collect(check, tree(tmp_path / "3", proc(stat(9, "x"))), after=sample)
    sample = collect(check, tree(tmp_path / "4", proc(stat(9, "x", started=500))), after=sample)
    assert restarts(sample) == (2, 2)
    sample = collect(check, tree(tmp_path / "5", proc(stat(9, "x", started=500), stat(10, "x"))), after=sample)
    assert restarts(sample) == (3, 3)
    sample = collect(check, tree(tmp_path / "6", proc(*(stat(n, "x") for n in range(9, 20)))), after=sample)
    assert restarts(sample) == (4, 4)  # 9 is another one again
    assert sample.summary.endswith("4 restarts in 1h")


def test_restarts_leave_the_window_and_outlive_a_boot(tmp_path: Path) -> None:
    """A boot starts everything anew, which is no restart of a process."""
    check = Process(ProcessOptions(name="x", restart_window=Duration(60)))
    before = collect(check, tree(tmp_path / "1", proc(stat(7, "x"))))
    once = collect(check, tree(tmp_path / "2", proc(stat(8, "x"))), after=before)
    assert restarts(once) == (1, 1)
    assert once.memory is not None
    booted = check.collect(
        Context(system=tree(tmp_path / "3", proc(stat(9, "x"))), now=NOW + 30, previous=kept(once))
    )
    assert restarts(booted) == (1, 1)
    later = collect(check, tree(tmp_path / "3", {}), after=booted, elapsed=30)
    assert restarts(later) == (0, 1)


def test_many_restarts_are_a_state_of_their_own(tmp_path: Path) -> None:
    """A service that crashes again and again runs at each look."""
    options = ProcessOptions(name="x", restarts=Threshold(warning=2))
    check = Process(options)
    sample = collect(check, tree(tmp_path / "0", proc(stat(10, "x"))))
    for number in range(1, 4):
        sample = collect(check, tree(tmp_path / str(number), proc(stat(10 + number, "x"))), after=sample)
    first = judge(Plan("x", "process", check, options), sample, None, now=NOW, ticks=1, duration=0)
    second = judge(Plan("x", "process", check, options), sample, first.memory, now=NOW, ticks=2, duration=0)
    assert second.state.message == "3 restarts in 1h, warning from 2"


def test_a_real_process_that_is_started_again_is_counted() -> None:
    """By its pid file or its command line: here by the latter."""
    mark = f"restart-{os.getpid()}"
    check = Process(ProcessOptions(pattern=f"sleep 60.*{mark}|{mark}", rescan=Duration(1)))
    sample: Sample | None = None
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark])
        try:
            sample = collect(check, after=sample)
            assert count(sample) == 1
        finally:
            child.kill()
            child.wait()
    assert sample is not None
    assert restarts(sample) == (1, 1)


def kept(sample: Sample) -> object:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(sample.memory))


@pytest.mark.parametrize("previous", [7, [], [{"7": [1, 2]}], ["x", 1.0]])
def test_memory_that_cannot_be_read_is_nothing(tmp_path: Path, previous: object) -> None:
    """As after an upgrade."""
    system = tree(tmp_path, proc(stat(7, "x")))
    sample = Process(ProcessOptions(name="x")).collect(Context(system=system, now=NOW, previous=previous, elapsed=1))
    assert restarts(sample) == (0, 0)
