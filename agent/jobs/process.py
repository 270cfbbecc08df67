"""Starts programs: the only user of `subprocess`. No shell ever reads a command.

What limits a program is a chain of small tools, each of which sets one thing and becomes the next by exec:

    nice -n 10 -- ionice -c 3 -- prlimit --as=1073741824 -- setpriv --pdeathsig KILL -- PROGRAM…

Where the agent has a cgroup of its own, a shell stands before them that puts itself into one for the program; it
reads nothing of the command (agent/jobs/cgroup.py).

So every limit is in force before the program's first instruction and for all that it starts; doing the same from
outside, after the start, would leave a window, and `preexec_fn` may deadlock in a process that has threads. Only what
was asked for is in the chain, at about 1 ms each (Python as the link would take 19 ms). The tools are part of
util-linux and coreutils, which every supported system has.

A program dies with the agent, however that ends: the kernel sends it SIGKILL (PR_SET_PDEATHSIG) when the thread that
started it ends, so only the main thread may start programs. Three cases are left to the unit's cgroup: a program in
its first millisecond, a program with privileges of its own (set-user-ID clears the signal), and grandchildren.

One thing is as it is everywhere: execvp(3) hands an executable text file without a `#!` line to /bin/sh.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess  # noqa: TID251 - the rule is there to make this file its only user
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.credentials import FOLDER
from agent.jobs.cgroup import ENTER, Group, new_group
from agent.jobs.limits import Limits
from kit.errors import HostwardError

_REFUSED = re.compile(rb"setpriv: failed to execute (.+): ([^:\n]+)\n", re.DOTALL)


class CannotStartError(HostwardError):
    """A program could not be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    code: int
    """The exit code; negative: the signal that ended it."""
    cpu: float
    """CPU seconds, user and system, its own and those of the children that it waited for."""
    peak_memory: int
    """Bytes, the largest resident set of any of these; 0 where it is not known (see `Child.reap`)."""


class Child:
    """A started program, the leader of a session and process group of its own. Close it by `reap`."""

    output: int
    """The reading end of its standard output, non-blocking; -1 where it has none."""
    error: int
    """The same of its standard error."""
    pidfd: int
    """Readable when the program has ended."""

    def __init__(
        self, popen: subprocess.Popen[bytes], output: int = -1, error: int = -1, group: Group | None = None
    ) -> None:
        """Takes all over. Raises OSError when there is no descriptor left; then the program is gone again."""
        self._popen = popen
        self._group = group
        self._own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.pid = popen.pid
        self.output, self.error = output, error
        try:
            self.pidfd = os.pidfd_open(popen.pid)
        except OSError:
            self.pidfd = -1
            self.signal_group(signal.SIGKILL)
            self.reap()
            raise

    def signal_group(self, number: signal.Signals) -> None:
        """Signal every process of its group. The group's number cannot mean another one before `reap`.

        SIGKILL is also for what has left that group, where there is a cgroup that it cannot leave.
        A program that runs as another user cannot be signalled: that is no error here.
        """
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        if number == signal.SIGKILL and self._group is not None:
            self._group.kill()

    def reap(self) -> Exit:
        """Wait for the program's end (see `pidfd`), then close everything that belongs to it.

        The kernel counts the agent's own peak as the child's, from the moment between fork and exec: so a peak that
        is no higher than the agent's own is not known.
        """
        _, status, usage = os.wait4(self.pid, 0)
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        for descriptor in (self.output, self.error, self.pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        if self._group is not None:
            self._group.remove()
        return Exit(
            self._popen.returncode,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss * 1024 if usage.ru_maxrss > self._own_peak else 0,
        )


def start(
    argv: Sequence[str],
    *,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
    given: bytes | int = b"",
    folder: str = "/",
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a program: in `folder`, `given` as its input, `environment` added to a minimal one, and with `limits`.

    An open file or pipe may be given as its descriptor. The program inherits the descriptors `pass_fds` too.
    `limits.time` and `limits.output` are the caller's to keep. `argv[0]` is an absolute path or a name on PATH.
    Raises CannotStartError.
    """
    env = minimal_environment() | dict(environment or {})
    name = argv[0] if argv else ""
    if not name:
        raise CannotStartError("there is no program to start: the command is empty")
    if "/" in name and not name.startswith("/"):
        raise CannotStartError(f"{name} is neither an absolute path nor the name of a program on PATH")
    try:
        return _start_piped([*_chain(limits), *argv], env, given, folder, pass_fds)
    except OSError as error:
        raise CannotStartError(f"{name} cannot be started: {error.strerror}") from error
    except ValueError as error:
        # A null byte, or text that cannot be written in the file system's encoding.
        raise CannotStartError(f"{name} cannot be started: {error} in its arguments or environment") from error


def _start_piped(
    argv: Sequence[str], environment: Mapping[str, str], given: bytes | int, folder: str, pass_fds: Sequence[int]
) -> Child:
    """Raises OSError, and then leaves no descriptor behind: until 3.11.4, Popen's own pipes would stay open."""
    with ExitStack() as theirs, ExitStack() as on_failure:
        stdin = _input(given)
        theirs.callback(os.close, stdin)
        pipes = []
        for _ in range(2):
            ours, end = os.pipe()
            on_failure.callback(os.close, ours)
            theirs.callback(os.close, end)
            os.set_blocking(ours, False)
            pipes.append((ours, end))
        (output, stdout), (error, stderr) = pipes
        group = new_group()
        if group is not None:
            on_failure.callback(group.remove)
            argv = [_tool("sh"), "-c", ENTER, "sh", group.entrance, *argv]
        popen = subprocess.Popen(  # noqa: S603 - what to start is the administrator's choice; no shell reads it
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=environment,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        on_failure.pop_all()  # From here on they are the child's to close.
    return Child(popen, output, error, group)


def _input(given: bytes | int) -> int:
    """A file from which `given` is read. It is whole from the start on: nobody has to be there to write it."""
    if isinstance(given, int):
        return os.dup(given)
    if not given:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    descriptor = os.memfd_create("input")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(given)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def start_server(argv: Sequence[str], socket: int, *, environment: Mapping[str, str]) -> Child:
    """Start a program that inherits `socket` and ends by itself, and in good order, when the other end closes.

    It has no pipes, no limits, and does not get the signal of a parent's death.
    Raises OSError.
    """
    return Child(
        subprocess.Popen(  # noqa: S603 - the agent's own program
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=minimal_environment() | dict(environment),
            pass_fds=(socket,),
            start_new_session=True,
        )
    )


def minimal_environment() -> dict[str, str]:
    """What every program gets: the agent's PATH, a locale in which programs print what is documented, and where the
    unit's credentials are: they are for whatever the agent does (agent/credentials.py)."""
    environment = {"PATH": os.environ.get("PATH") or os.defpath, "LANG": "C.UTF-8"}
    if folder := os.environ.get(FOLDER):
        environment[FOLDER] = folder
    return environment


def why_not_started(exit_code: int, error: bytes | bytearray) -> str | None:
    """One sentence where the chain came to its end and could not become the program, else None.

    `error` is what was written on standard error. Whether the program exists is not looked at before, since it may be
    on a mount that hangs: only the child shall hang then.
    """
    match = _REFUSED.fullmatch(error) if exit_code in (126, 127) else None
    return f"{match[1].decode(errors='replace')} cannot be started: {match[2].decode().lower()}" if match else None


def _chain(limits: Limits) -> list[str]:
    words: list[str] = []
    if limits.nice:
        words += [_tool("nice"), "-n", str(limits.nice), "--"]
    if limits.idle_io:
        words += [_tool("ionice"), "-c", "3", "--"]
    if limits.memory is not None:
        words += [_tool("prlimit"), f"--as={limits.memory}", "--"]
    return [*words, *_parent_death()]


@cache
def _tool(name: str) -> str:
    """Where a link of the chain is. Raises CannotStartError."""
    for folder in minimal_environment()["PATH"].split(os.pathsep):
        file = Path(folder, name)
        if folder and os.access(file, os.X_OK) and file.is_file():
            return str(file)
    raise CannotStartError(f"{name}, which sets a limit, is not installed")


def _parent_death() -> tuple[str, ...]:
    """The link of the chain that ties a program's life to the agent's; none where setpriv is older than 2.33."""
    try:
        tool = _tool("setpriv")
        return (tool, "--pdeathsig", "KILL", "--") if _ties_lives(tool) else ()
    except (CannotStartError, OSError, subprocess.TimeoutExpired):
        return ()


@cache  # but not that it could not be asked: a host that is busy for a moment would be without it for good
def _ties_lives(setpriv: str) -> bool:
    """Raises OSError, TimeoutExpired."""
    command = [setpriv, "--help"]
    text = subprocess.run(command, capture_output=True, timeout=5, check=False).stdout  # noqa: S603 - no words of others
    return b"--pdeathsig" in text
