"""How programs are started: with real ones."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.jobs import process
from agent.jobs.limits import Limits
from agent.jobs.process import CannotStartError, Child, Exit, start, why_not_started
from tests.agent.jobs.programs import descriptors, eventually, is_alive, python


def run(*argv: str, limits: Limits | None = None, environment: dict[str, str] | None = None) -> tuple[Exit, str, str]:
    """Its end, its output and its error output."""
    child = start(argv, limits=limits or Limits(60), environment=environment)
    texts = {child.output: b"", child.error: b""}
    output, error = child.output, child.error
    with selectors.DefaultSelector() as selector:
        for descriptor in texts:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, 65536)
                texts[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    end = child.reap()
    return end, texts[output].decode(), texts[error].decode()


def test_arguments_reach_the_program_as_they_are() -> None:
    """No shell reads them, and none looks like an option of the tools that set the limits."""
    words = ["-n", "--", "$HOME", "; true", "a  b", "*", "'", "ä"]
    end, output, _ = run("printf", "%s\n", *words, limits=Limits(60, nice=1, idle_io=True, memory=2**30))
    assert end.code == 0
    assert output.splitlines() == words


def test_the_surroundings_are_minimal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program starts in /, without input, and with PATH, a plain locale and what was given, but nothing else."""
    monkeypatch.setenv("SECRET", "of the agent")
    _, output, _ = run("env", environment={"GIVEN": "1"})
    assert sorted(output.splitlines()) == ["GIVEN=1", "LANG=C.UTF-8", f"PATH={os.environ['PATH']}"]
    assert run("pwd")[1] == "/\n"
    assert run("cat")[1] == ""


def test_no_descriptor_is_inherited(tmp_path: Path) -> None:
    """Not even one that is marked as inheritable."""
    with (tmp_path / "private").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        _, output, _ = run("ls", "-l", "/proc/self/fd")
    assert "private" not in output
    assert [line.split(" -> ")[0].split()[-1] for line in output.splitlines()[1:]] == ["0", "1", "2", "3"]


def test_limits_hold_for_the_program_and_its_children() -> None:
    """Niceness, I/O class and address space are set before the program starts, so that its children have them."""
    script = "nice; ionice -p $$; ulimit -v; bash -c 'nice; ionice -p $$; ulimit -v'"
    end, output, error = run("bash", "-c", script, limits=Limits(60, nice=7, idle_io=True, memory=2**30))
    assert (end.code, error) == (0, "")
    assert output.splitlines() == ["7", "idle", str(2**20)] * 2
    assert run("bash", "-c", script)[1].splitlines() == ["0", "none: prio 0", "unlimited"] * 2


def test_memory_beyond_the_limit_is_refused() -> None:
    """The program sees a failed allocation."""
    end, _, error = run(sys.executable, "-c", "bytearray(10**9)", limits=Limits(60, memory=200 * 2**20))
    assert end.code == 1
    assert "MemoryError" in error


def test_a_program_has_its_own_session_and_group() -> None:
    """So that signals to its group reach all that it starts, and nothing else."""
    child = start(["bash", "-c", "sleep 1000 & echo $!; wait"], limits=Limits(60))
    try:
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
        selector = selectors.DefaultSelector()
        selector.register(child.output, selectors.EVENT_READ)
        selector.select()
        selector.close()
        grandchild = int(os.read(child.output, 100))
        assert os.getpgid(grandchild) == child.pid
        child.signal_group(signal.SIGTERM)
    finally:
        end = child.reap()
    assert end.code == -signal.SIGTERM
    eventually(lambda: not is_alive(grandchild), "the end of the grandchild")


def test_what_it_used_is_known() -> None:
    """CPU time, and peak memory where it is more than the agent's own."""
    much = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 50 * 2**20
    end, _, _ = run(sys.executable, "-c", f"x = bytearray({much}); sum(range(10**6))")
    assert end.peak_memory > much
    assert end.cpu > 0
    assert run("true")[0].peak_memory == 0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "there is no program to start: the command is empty"),
        ([""], "there is no program to start: the command is empty"),
        (["plugins/check"], "plugins/check is neither an absolute path nor the name of a program on PATH"),
        (["true", "\0"], "true cannot be started: embedded null byte in its arguments or environment"),
        (["true", "x" * 10**7], "true cannot be started: Argument list too long"),
    ],
)
def test_what_cannot_be_started_is_told_at_once(argv: list[str], sentence: str) -> None:
    """One sentence, no child, no descriptor left."""
    before = descriptors()
    with pytest.raises(CannotStartError) as caught:
        start(argv, limits=Limits(60))
    assert str(caught.value) == sentence
    assert not descriptors() - before  # what an earlier test left may go meanwhile


@pytest.mark.parametrize("limits", [Limits(60), Limits(60, nice=1, idle_io=True, memory=2**30)])
def test_what_turns_out_not_to_start_is_told_by_its_end(limits: Limits, tmp_path: Path) -> None:
    """The file is looked at by the child alone, which may hang on it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    plain = tmp_path / "with: colon"
    plain.write_text("#!/bin/true\n")
    lost = tmp_path / "lost"
    lost.write_text("#!/no/interpreter\n")
    lost.chmod(0o755)

    def reason(program: str) -> str | None:
        end, _, error = run(program, limits=limits)
        return why_not_started(end.code, error.encode())

    assert reason("no-such-program") == "no-such-program cannot be started: no such file or directory"
    assert reason(str(lost)) == f"{lost} cannot be started: no such file or directory"
    assert reason(str(folder)) == f"{folder} cannot be started: permission denied"
    assert reason(str(plain)) == f"{plain} cannot be started: permission denied"


def test_a_host_that_is_busy_for_a_moment_ties_lives_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """That setpriv did not answer in time says nothing of the next program."""
    process._ties_lives.cache_clear()

    def too_late(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 5)

    with monkeypatch.context() as busy:
        busy.setattr(subprocess, "run", too_late)
        assert process._parent_death() == ()
    assert process._parent_death()[1:] == ("--pdeathsig", "KILL", "--")


def test_a_program_that_fails_by_itself_was_started() -> None:
    """Exit code 127 of a program is its own, whatever it says."""
    end, _, error = run("bash", "-c", "no-such-program")
    assert end.code == 127
    assert why_not_started(end.code, error.encode()) is None


def test_the_path_that_was_given_is_searched(tmp_path: Path) -> None:
    """A name is looked up on the program's own PATH."""
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert run("tool", environment={"PATH": f"{tmp_path}:/usr/bin:/bin"})[1] == "found\n"


def test_a_limit_that_cannot_be_set_refuses_the_start(tmp_path: Path) -> None:
    """Rather no run than one without its limit."""
    code = (
        "from agent.jobs.limits import Limits; from agent.jobs.process import *\n"
        "try: start(['/bin/true'], limits=Limits(60, memory=2**30))\n"
        "except CannotStartError as error: print(error)"
    )
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "prlimit, which sets a limit, is not installed\n", done.stderr


def test_without_setpriv_programs_run_all_the_same(tmp_path: Path) -> None:
    """Where no tool ties their lives to the agent's, the unit's cgroup does."""
    code = (
        "from agent.jobs.limits import Limits; from agent.jobs.process import *\n"
        "print(start(['/bin/true'], limits=Limits(60)).reap().code, flush=True)\n"
        "try: start(['/no/program'], limits=Limits(60))\n"
        "except CannotStartError as error: print(error)"
    )
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["0", "/no/program cannot be started: No such file or directory"], done.stderr


def test_without_descriptors_nothing_is_left_behind() -> None:
    """At each number of free descriptors, a start works, or it is refused and leaves no child and no descriptor."""
    code = """
import os, resource
from pathlib import Path
from agent.jobs import process
from agent.jobs.limits import Limits
from agent.jobs.process import CannotStartError, start

start(["true"], limits=Limits(60)).reap()
used = len(os.listdir("/proc/self/fd")) - 1
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for free in range(12):
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, hard))
    try:
        start(["true"], limits=Limits(60)).reap()
        outcome = "started"
    except CannotStartError as error:
        outcome = str(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert len(os.listdir("/proc/self/fd")) - 1 == used, (free, os.listdir("/proc/self/fd"))
    try:
        os.waitpid(-1, os.WNOHANG)
        raise SystemExit("a child is left")
    except ChildProcessError:
        print(outcome)
"""
    agent = python(code)
    outcomes = agent.communicate()[0].splitlines()
    assert agent.returncode == 0
    assert outcomes[0] == "true cannot be started: Too many open files"
    assert outcomes[-1] == "started"
    assert set(outcomes) == {outcomes[0], outcomes[-1]}


def test_programs_die_with_the_agent() -> None:
    """Also when it is killed with SIGKILL, and when the program minds no other signal."""
    code = """
import time
from agent.jobs import process
from agent.jobs.limits import Limits
from agent.jobs.process import start
child = start(["bash", "-c", "trap '' TERM HUP INT; while :; do sleep 1; done"], limits=Limits(60, nice=1))
print(child.pid, flush=True)
time.sleep(1000)
"""
    agent = python(code)
    assert agent.stdout is not None
    pid = int(agent.stdout.readline())
    eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "bash\n", "the program's first instruction")
    agent.kill()
    agent.communicate()
    eventually(lambda: not is_alive(pid), "the end of the program")


def test_other_threads_do_not_disturb_a_start() -> None:
    """The agent has threads: whatever they hold or start at that moment, the program starts."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            subprocess.run(["true"], check=True)

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            child: Child = start(["true"], limits=Limits(60))
            assert child.reap().code == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
