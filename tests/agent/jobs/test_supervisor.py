"""Jobs have an outcome, whatever happens: with real programs, a real fork server and real signals."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.jobs import supervisor
from agent.jobs.limits import Limits
from agent.jobs.process import Child
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from tests.agent.jobs.programs import descriptors, eventually, is_alive, python

FUNCTIONS = "tests.agent.jobs.calls:"


class Run:
    """Jobs, and what they told."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.jobs = Jobs(self.selector)
        self.ended: list[Ended] = []
        self.strangers = {child.pid for child in psutil.Process().children()}

    def command(self, *argv: str, name: str = "job", **limits: Any) -> bool:
        return self.jobs.start_command(
            name, argv, limits=Limits(**{"time": 60.0, **limits}), on_end=self.ended.append
        )

    def call(self, function: str, argument: bytes = b"", name: str = "job", **limits: Any) -> bool:
        return self.jobs.start_call(
            name,
            function if ":" in function else FUNCTIONS + function,
            argument,
            limits=Limits(**{"time": 60.0, **limits}),
            on_end=self.ended.append,
        )

    def until(self, condition: Any, what: str) -> None:
        """Let the loop turn until it is so."""
        end = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < end, f"never came: {what}"
            self.jobs.wait(0.05)

    def finish(self) -> Ended:
        """Let the loop turn until no job runs; the last that ended."""
        self.until(lambda: not self.jobs.running, f"the end of {self.jobs.running}")
        return self.ended[-1]

    def of_command(self, *argv: str, **limits: Any) -> Ended:
        assert self.command(*argv, **limits)
        return self.finish()

    def of_call(self, function: str, argument: bytes = b"", **limits: Any) -> Ended:
        assert self.call(function, argument, **limits)
        return self.finish()

    def children(self, *, recursive: bool = False) -> list[psutil.Process]:
        """Those that came since: servers of other tests may run beside."""
        found = [child for child in psutil.Process().children() if child.pid not in self.strangers]
        return (
            found if not recursive else found + [below for child in found for below in child.children(recursive=True)]
        )

    def server(self) -> int:
        """The pid of the fork server, which runs."""

        def servers() -> list[int]:
            return [child.pid for child in self.children() if "agent.jobs.forkserver" in child.cmdline()]

        eventually(lambda: len(servers()) == 1, "the server's start")
        return servers()[0]


@pytest.fixture
def run() -> Iterator[Run]:
    """Jobs that leave nothing behind: no process, no descriptor."""
    before = descriptors()
    run = Run()
    yield run
    run.jobs.stop(0)
    assert not run.jobs.running
    assert not run.selector.get_map()
    run.selector.close()
    assert not run.children()
    assert not descriptors() - before  # what an earlier test left may go meanwhile


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter grace, for tests that wait for its end."""
    monkeypatch.setattr(supervisor, "KILL_GRACE", 0.2)


def pids(file: Path) -> tuple[int, int]:
    child, grandchild = file.read_text().split()
    return int(child), int(grandchild)


# Programs


@pytest.mark.parametrize(
    ("argv", "outcome", "exit_code", "message"),
    [
        (["true"], "done", 0, ""),
        (["bash", "-c", "exit 3"], "failed", 3, "exit code 3"),
        (
            ["bash", "-c", "echo first >&2; echo 'the disk is full ' >&2; echo >&2; exit 1"],
            "failed",
            1,
            "exit code 1: the disk is full",
        ),
        (["bash", "-c", "kill -SEGV $$"], "killed", None, "ended by SIGSEGV"),
        (["bash", "-c", "kill -40 $$"], "killed", None, "ended by signal 40"),
        (["no-such-program"], "failed", None, "no-such-program cannot be started: no such file or directory"),
        (["a/b"], "failed", None, "a/b is neither an absolute path nor the name of a program on PATH"),
    ],
)
def test_how_a_program_ends_is_its_outcome(
    run: Run, argv: list[str], outcome: str, exit_code: int | None, message: str
) -> None:
    """Each end has its outcome, its exit code where it chose one, and one line."""
    ended = run.of_command(*argv)
    assert (ended.outcome, ended.exit_code, ended.message) == (outcome, exit_code, message)
    assert ended.name == "job"
    assert 0 <= ended.finished - ended.started < 60
    assert abs(ended.finished - time.time()) < 60


def test_a_program_may_take_a_month(run: Run) -> None:
    """Though the kernel does not wait for so long at once."""
    ends: list[Ended] = []
    run.jobs.start_command("dump", ["true"], limits=Limits(time=31 * 86400.0), on_end=ends.append)
    while not ends:
        run.jobs.wait(None)
    assert ends[0].outcome == "done"


def test_output_and_error_are_kept(run: Run) -> None:
    """Both, apart, and whole as long as they are short."""
    ended = run.of_command("bash", "-c", "echo out; echo err >&2; exit 2")
    assert (ended.output, ended.error, ended.truncated) == (b"out\n", b"err\n", False)


def test_a_flood_of_output_is_read_and_dropped(run: Run) -> None:
    """A program that prints 200 MB on each of both neither blocks nor fills the agent's memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    script = "head -c 200000000 /dev/zero; head -c 200000000 /dev/zero >&2; exit 5"
    ended = run.of_command("bash", "-c", script, output=1000)
    assert (ended.outcome, ended.exit_code, ended.truncated) == ("failed", 5, True)
    assert (ended.output, ended.error) == (b"\0" * 1000, b"\0" * 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_output_up_to_the_limit_is_whole(run: Run, size: int) -> None:
    """Truncated says that something is missing, not that the limit was met."""
    ended = run.of_command("head", "-c", str(size), "/dev/zero", output=1000)
    assert (len(ended.output), ended.truncated) == (size, False)


def test_a_program_that_hangs_is_ended_at_its_limit(run: Run, impatient: None, tmp_path: Path) -> None:
    """With all of its group, though nothing in it minds SIGTERM; what it printed is kept."""
    file = tmp_path / "pid"
    script = f"trap '' TERM; sleep 1000 & echo $! > {file}; echo begun; while :; do sleep 1; done"
    ended = run.of_command("bash", "-c", script, time=3)
    assert (ended.outcome, ended.exit_code) == ("timed_out", None)
    assert ended.message == "stopped at its time limit of 3s"
    assert ended.output == b"begun\n"
    eventually(lambda: not is_alive(int(file.read_text())), "the end of the grandchild")


def test_a_program_that_ends_itself_on_sigterm_has_timed_out(run: Run) -> None:
    """It gets the chance to clean up; that it then exits with 0 does not make it done."""
    ended = run.of_command("bash", "-c", "trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.05; done", time=3)
    assert (ended.outcome, ended.output) == ("timed_out", b"cleaned\n")


def test_a_stopped_program_is_ended_too(run: Run, impatient: None) -> None:
    """One that was sent SIGSTOP takes no SIGTERM."""
    assert run.of_command("bash", "-c", "kill -STOP $$", time=0.3).outcome == "timed_out"


def test_a_child_left_behind_does_not_hold_up_the_end(run: Run) -> None:
    """It holds the pipes open and is killed with its group."""
    ended = run.of_command("bash", "-c", "sleep 1000 & echo $!")
    assert (ended.outcome, ended.message) == ("done", "")
    eventually(lambda: not is_alive(int(ended.output)), "the end of the child left behind")


def test_a_child_that_left_the_group_does_not_hold_up_the_end(run: Run) -> None:
    """It cannot be found by its group any more; the unit's cgroup is what ends it with the agent."""
    ended = run.of_command("bash", "-c", "setsid sleep 1000 & echo $!; sleep 0.2")
    assert ended.outcome == "done"
    os.kill(int(ended.output), signal.SIGKILL)


def test_one_of_a_name_at_a_time(run: Run) -> None:
    """A second start is refused as long as the first runs, and both kinds of jobs share the names."""
    assert run.command("sleep", "0.5")
    assert not run.command("true")
    assert not run.call("echo")
    assert run.command("true", name="other")
    assert run.jobs.running == {"job", "other"}
    run.finish()
    assert sorted(ended.name for ended in run.ended) == ["job", "other"]
    assert run.of_command("true").outcome == "done"


def test_what_cannot_be_started_ends_within_wait(run: Run) -> None:
    """Its end is told once, by the next `wait`, and its name is taken until then."""
    assert run.command()
    assert run.ended == []
    assert not run.command()
    run.jobs.wait(None)
    assert [ended.outcome for ended in run.ended] == ["failed"]
    assert not run.jobs.running


def test_an_end_may_start_the_next(run: Run) -> None:
    """The name is free when `on_end` is called."""
    outputs = []

    def again(ended: Ended) -> None:
        outputs.append(ended.output)
        if len(outputs) < 3:
            assert run.jobs.start_command("job", ["echo", str(len(outputs))], limits=Limits(60), on_end=again)

    assert run.jobs.start_command("job", ["echo", "0"], limits=Limits(60), on_end=again)
    run.until(lambda: len(outputs) == 3, "three ends")
    assert outputs == [b"0\n", b"1\n", b"2\n"]


def test_what_a_program_used_is_told(run: Run) -> None:
    """CPU time and peak memory, of its children as well."""
    much = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 50 * 2**20
    ended = run.of_command("bash", "-c", f"{sys.executable} -c 'x = bytearray({much})'; true")
    assert ended.cpu > 0
    assert ended.peak_memory > much


def test_limits_reach_the_program(run: Run) -> None:
    """Niceness, I/O class and memory."""
    ended = run.of_command("bash", "-c", "nice; ionice; ulimit -v", nice=5, idle_io=True, memory=2**30)
    assert ended.output.split() == [b"5", b"idle", str(2**20).encode()]


def test_two_thousand_jobs_leave_nothing(run: Run) -> None:
    """Neither a descriptor nor a zombie; each is told of once."""
    before = descriptors()
    for number in range(2000):
        assert run.command("true" if number % 2 else "false", name=str(number))
        if len(run.jobs.running) == 20:
            run.jobs.wait(None)
    run.finish()
    assert sorted(int(ended.name) for ended in run.ended) == list(range(2000))
    assert {ended.outcome for ended in run.ended} == {"done", "failed"}
    assert not descriptors() - before  # what an earlier test left may go meanwhile
    assert not run.children()


def test_a_child_that_sigkill_does_not_end_keeps_its_name(
    run: Run, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is told, nothing waits for it, and a second one cannot start until it is gone.

    Processes that hang in the kernel cannot be had at will: here the signals do not reach it.
    """
    with monkeypatch.context() as patch:
        patch.setattr(Child, "signal_group", lambda self, number: None)
        ended = run.of_command("sleep", "1000", time=0.2)
    assert ended.outcome == "timed_out"
    assert ended.message == "stopped at its time limit of 200ms, but it hangs and cannot be ended"
    assert not run.jobs.running
    assert not run.command("true")
    [stuck] = run.children()
    stuck.kill()
    run.until(lambda: run.command("true"), "the name's release")
    assert run.finish().outcome == "done"


# The loop


def test_wait_sleeps_no_longer_than_it_is_told(run: Run) -> None:
    """With nothing to do it comes back after its timeout, with a job as well."""
    run.jobs.wait(0)
    run.jobs.wait(0.01)
    assert run.jobs.next_deadline() is None
    run.command("sleep", "1000")
    run.jobs.wait(0.01)
    deadline = run.jobs.next_deadline()
    assert deadline is not None
    assert 50 < deadline - time.monotonic() <= 60
    assert run.ended == []


def test_wait_serves_other_files(run: Run) -> None:
    """A file that is registered with the same selector wakes it, and its function is called."""
    ours, theirs = socket.socketpair()
    heard = []
    run.selector.register(ours, selectors.EVENT_READ, lambda: heard.append(ours.recv(100)))
    run.command("sleep", "1000")
    theirs.send(b"hello")
    run.jobs.wait(None)
    assert heard == [b"hello"]
    run.selector.unregister(ours)
    ours.close()
    theirs.close()


def test_stop_ends_everything(run: Run, tmp_path: Path) -> None:
    """Programs and calls end as killed, the polite ones by SIGTERM, and nothing can be started afterwards."""
    run.command("bash", "-c", "trap 'echo bye; exit' TERM; echo begun; while :; do sleep 0.05; done", name="polite")
    run.command("bash", "-c", "trap '' TERM; while :; do sleep 0.05; done", name="deaf")
    file = tmp_path / "pids"
    run.call("hang", str(file).encode(), name="call")
    run.until(file.exists, "the call's start")
    server = run.server()
    run.jobs.stop(0.5)
    assert {ended.name: (ended.outcome, ended.message) for ended in run.ended} == dict.fromkeys(
        ("polite", "deaf", "call"), ("killed", "ended with the agent")
    )
    [polite] = [ended for ended in run.ended if ended.name == "polite"]
    assert polite.output == b"begun\nbye\n"
    assert not run.command("true")
    assert not run.call("echo")
    for pid in (server, *pids(file)):
        eventually(lambda pid=pid: not is_alive(pid), "the end of all")


# Calls


def test_a_call_returns_bytes(run: Run) -> None:
    """What the function returned, none of what it printed, and what it used."""
    ended = run.of_call("echo", b"\0\xff")
    assert (ended.outcome, ended.output, ended.error, ended.message) == ("done", b"\0\xff", b"", "")
    assert ended.peak_memory > 2**20
    assert run.of_call("chatter").output == b"quiet"


@pytest.mark.parametrize("size", [0, 1, 10**5, 2**20])
def test_results_up_to_a_mebibyte_are_whole(run: Run, size: int) -> None:
    """And so are arguments, of any size."""
    assert run.of_call("enlarge", b"%d" % size).output == b"x" * size
    assert run.of_call("echo", b"y" * size).output == b"y" * size


@pytest.mark.parametrize(
    ("function", "argument", "outcome", "message"),
    [
        ("fail", "the door\n  is shut", "failed", "the door is shut"),
        ("fail", "x" * 10_000, "failed", "x" * 500),
        ("fail_silently", "", "failed", "LookupError"),
        ("fail_badly", "", "failed", "ended without a result (exit code 1)"),
        ("leave", "", "failed", "enough"),
        ("leave_at_once", "0", "failed", "ended without a result (exit code 0)"),
        ("leave_at_once", "1", "failed", "ended without a result (exit code 1)"),
        ("die", "9", "killed", "ended by SIGKILL"),
        ("die", "11", "killed", "ended by SIGSEGV"),
        ("return_text", "", "failed", "tests.agent.jobs.calls:return_text returned str instead of bytes"),
        ("enlarge", str(2**20 + 1), "failed", "the result is larger than 1MiB"),
        ("missing", "", "failed", "module 'tests.agent.jobs.calls' has no attribute 'missing'"),
        ("no.such.module:function", "", "failed", "No module named 'no'"),
        ("fill_memory", "10000000000", "failed", "out of memory (its limit is 512MiB)"),
    ],
)
def test_how_a_call_ends_is_its_outcome(run: Run, function: str, argument: str, outcome: str, message: str) -> None:
    """One line for each end; the fork server survives them all."""
    run.of_call("echo")
    server = run.server()
    ended = run.of_call(function, argument.encode(), memory=512 * 2**20)
    assert (ended.outcome, ended.exit_code, ended.output, ended.message) == (outcome, None, b"", message)
    assert run.of_call("echo", b"still there").output == b"still there"
    assert run.server() == server


def test_what_surrounds_a_call(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limits hold, it leads its own group, and has neither the agent's environment nor its descriptors."""
    monkeypatch.setenv("SECRET", "of the agent")
    with socket.socket() as private:
        os.set_inheritable(private.fileno(), True)
        found = json.loads(run.of_call("describe", nice=6, idle_io=True, memory=2**30).output)
    assert (found["nice"], found["ioclass"], found["memory"]) == (6, psutil.IOPRIO_CLASS_IDLE, 2**30)
    assert found["group"]
    assert "SECRET" not in found["environment"]
    kinds = sorted(name.split(":")[0] for name in found["descriptors"])
    assert kinds == ["/dev/null", "/dev/null", "/dev/null", "pipe"]


def test_calls_run_side_by_side(run: Run) -> None:
    """One that takes long does not hold up the others."""
    run.call("nap", b"1000", name="slow")
    for number in range(20):
        run.call("echo", b"%d" % number, name=str(number))
    run.until(lambda: len(run.ended) == 20, "twenty ends")
    assert sorted(int(ended.output) for ended in run.ended) == list(range(20))
    assert run.jobs.running == {"slow"}


def test_a_call_that_hangs_is_ended_at_its_limit(run: Run, impatient: None, tmp_path: Path) -> None:
    """With what it started, though neither minds SIGTERM; the server goes on."""
    file = tmp_path / "pids"
    run.of_call("echo")
    server = run.server()
    ended = run.of_call("hang", str(file).encode(), time=5)
    assert (ended.outcome, ended.message) == ("timed_out", "stopped at its time limit of 5s")
    for pid in pids(file):
        eventually(lambda pid=pid: not is_alive(pid), "the end of both")
    assert run.server() == server


def test_many_calls_leave_nothing(run: Run) -> None:
    """Neither the agent nor the server keeps a descriptor of a call."""
    run.of_call("echo")
    before, server = descriptors(), Path(f"/proc/{run.server()}/fd")
    held = len(list(server.iterdir()))
    for number in range(300):
        assert run.call("echo" if number % 2 else "fail", name=str(number))
        if len(run.jobs.running) == 10:
            run.jobs.wait(None)
    run.finish()
    assert len(run.ended) == 301
    assert not descriptors() - before  # what an earlier test left may go meanwhile
    eventually(lambda: len(list(server.iterdir())) == held, "the server's descriptors to be closed")
    assert not psutil.Process(run.server()).children()


def test_a_killed_server_loses_its_calls_and_is_replaced(run: Run, tmp_path: Path) -> None:
    """Their children, which know nothing of it, are ended; the next call has a new server."""
    file = tmp_path / "pids"
    run.call("hang", str(file).encode(), name="lost")
    run.until(file.exists, "the call's start")
    server = run.server()
    os.kill(server, signal.SIGKILL)
    ended = run.finish()
    assert (ended.name, ended.outcome, ended.message) == ("lost", "lost", "the fork server ended")
    assert not is_alive(pids(file)[0])
    eventually(lambda: not is_alive(pids(file)[1]), "the end of the grandchild")
    assert run.of_call("echo", b"again").output == b"again"
    assert run.server() != server


def test_a_server_s_unnoticed_death_harms_no_later_call(run: Run, tmp_path: Path) -> None:
    """Those that ran are lost; one that is started before `wait` could see the death has a new server."""
    file = tmp_path / "pids"
    run.call("hang", str(file).encode(), name="lost")
    run.until(file.exists, "the call's start")
    server = run.server()
    os.kill(server, signal.SIGKILL)
    eventually(lambda: not is_alive(server), "the server's death")
    assert run.call("echo")
    assert run.ended == []
    run.finish()
    assert {ended.name: ended.outcome for ended in run.ended} == {"lost": "lost", "job": "done"}


def test_a_server_killed_at_any_moment_leaves_no_call_without_outcome(run: Run) -> None:
    """At forty random moments, with calls at every stage: each call ends once, and no process is left."""
    moments = random.Random(2)
    started = 0
    for _ in range(40):
        for _ in range(5):
            started += 1
            assert run.call("nap", b"0.005", name=str(started))
        end = time.monotonic() + moments.uniform(0, 0.2)
        while (left := end - time.monotonic()) > 0 and run.jobs.running:
            run.jobs.wait(left)
        children = run.children(recursive=True)
        os.kill(run.server(), signal.SIGKILL)
        run.finish()
        for child in children:
            eventually(lambda pid=child.pid: not is_alive(pid), "the end of all")
    assert sorted(int(ended.name) for ended in run.ended) == list(range(1, started + 1))
    assert {ended.outcome for ended in run.ended} <= {"done", "lost"}


def test_a_child_killed_at_any_moment_ends_as_killed(run: Run) -> None:
    """By whom ever; what it had sent of its result is not taken for one."""
    run.of_call("echo")
    server = psutil.Process(run.server())
    moments = random.Random(3)
    for _ in range(60):
        run.call("enlarge", b"1000000")
        end = time.monotonic() + moments.uniform(0, 0.01)
        while (left := end - time.monotonic()) > 0 and run.jobs.running:
            run.jobs.wait(left)
        for child in server.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        ended = run.finish()
        assert (ended.outcome, len(ended.output)) in {("done", 1_000_000), ("killed", 0)}


@pytest.mark.parametrize(
    ("body", "outcome", "message"),
    [
        ("raise RuntimeError('cannot be imported')", "failed", "cannot be imported"),
        ("import sys; sys.exit('go away')", "failed", "go away"),
        ("import os; os.kill(os.getpid(), 9)", "lost", "the fork server ended"),
        ("import time; time.sleep(1000)", "timed_out", "stopped at its time limit of 1s"),
    ],
)
def test_a_module_that_cannot_be_imported(
    run: Run, impatient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, outcome: str, message: str
) -> None:
    """An error is told; a server that dies or hangs of it is replaced, without harm to later calls."""
    (tmp_path / "unfit.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    ended = run.of_call("unfit:function", time=1 if outcome == "timed_out" else 60)
    assert (ended.outcome, ended.message) == (outcome, message)
    assert run.of_call("echo", b"after").output == b"after"


def test_a_server_that_hangs_is_replaced(run: Run, impatient: None) -> None:
    """A call that it never took times out, those that ran are not waited for, and later ones have a new server."""
    run.call("nap", b"1000", name="running")
    run.until(lambda: len(psutil.Process(run.server()).children()) == 1, "the start")
    server = run.server()
    os.kill(server, signal.SIGSTOP)
    run.call("echo", time=0.3, name="waiting")
    run.finish()
    assert {ended.name: ended.outcome for ended in run.ended} == {"running": "lost", "waiting": "timed_out"}
    assert run.of_call("echo", b"new").output == b"new"
    assert run.server() != server


AGENT = """
import selectors, sys
from agent.jobs.limits import Limits
from agent.jobs.supervisor import Jobs
jobs = Jobs(selectors.DefaultSelector())
limits = Limits(float(sys.argv[2]))
jobs.start_call("hang", "tests.agent.jobs.calls:hang", sys.argv[1].encode(), limits=limits, on_end=print)
while True:
    jobs.wait(None)
"""


def test_server_and_calls_die_with_the_agent(tmp_path: Path) -> None:
    """Also when it is killed with SIGKILL."""
    file = tmp_path / "pids"
    agent = python(AGENT, str(file), "60")
    eventually(file.exists, "the call's start")
    family = psutil.Process(agent.pid).children(recursive=True)
    assert len(family) == 3
    agent.kill()
    agent.communicate()
    for process in family:
        eventually(lambda process=process: not is_alive(process.pid), "the end of all")


def test_a_call_ends_itself_when_agent_and_server_are_gone(tmp_path: Path) -> None:
    """Its own alarm is the last resort when both were killed at once."""
    file = tmp_path / "pids"
    agent = python(AGENT, str(file), "15")
    eventually(file.exists, "the call's start")
    child, grandchild = pids(file)
    [server] = psutil.Process(agent.pid).children()
    agent.send_signal(signal.SIGSTOP)
    server.kill()
    agent.kill()
    agent.communicate()
    try:
        eventually(lambda: not is_alive(child), "the alarm")
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_ends_are_known_where_sigchld_was_ignored() -> None:
    """Who starts the agent may have it ignore SIGCHLD, with which the kernel would forget how children ended."""
    code = """
import selectors, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from agent.jobs.limits import Limits
from agent.jobs.supervisor import Jobs
jobs = Jobs(selectors.DefaultSelector())
jobs.start_command("job", ["bash", "-c", "exit 3"], limits=Limits(60), on_end=lambda ended: print(ended.exit_code))
while jobs.running:
    jobs.wait(None)
"""
    with python(code) as process:
        assert process.communicate()[0] == "3\n"


@pytest.mark.parametrize(
    "module", ["agent.jobs.forkserver", "agent.jobs.supervisor", "agent.timetable", "agent.daemon.notify"]
)
def test_nothing_heavy_is_imported(module: str) -> None:
    """What stays in memory for as long as the agent runs is small."""
    heavy = {"asyncio", "concurrent.futures", "multiprocessing", "psutil", "requests", "cryptography", "email"}
    light = {"subprocess"} if module == "agent.jobs.forkserver" else set()
    with python(f"import sys, {module}; print(*sys.modules)") as process:
        loaded = set(process.communicate()[0].split())
    assert module in loaded
    assert not loaded & (heavy | light)
