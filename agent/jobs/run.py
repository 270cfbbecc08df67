"""One run of a job, from its start to its outcome: a program, or a function in a child of the fork server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from agent.jobs import forkserver
from agent.jobs.limits import Limits
from agent.jobs.process import Child, why_not_started
from kit.terminal import bounded

Outcome = Literal["done", "failed", "timed_out", "killed", "lost"]

MESSAGE_LIMIT = 200
SERVER_ENDED = "the fork server ended"


@dataclass(frozen=True, slots=True)
class Ended:
    """One run of a job, when it is over."""

    name: str
    outcome: Outcome
    """done: exit code 0, or the function returned. failed: another exit code, an exception, or it could not be
    started. timed_out: ended at its time limit. killed: by a signal that was not for its time limit, or with the
    agent. lost: the fork server died, and with it the knowledge of how the call ended."""
    exit_code: int | None
    """Of a program that chose its end itself."""
    output: bytes
    """The first `limits.output` bytes of standard output; of a call, what the function returned."""
    error: bytes
    """The first `limits.output` bytes of standard error; empty for a call."""
    truncated: bool
    """Whether there was more of `output` or `error`."""
    started: float
    """Seconds since the epoch."""
    finished: float
    """`started` and the time that it took by a clock that nobody can set."""
    cpu: float
    """CPU seconds, user and system."""
    peak_memory: int
    """Bytes, the largest resident set; 0 where it is not known (see agent.jobs.process.Child.reap)."""
    message: str
    """One line for people; empty when all went well."""


OnEnd = Callable[[Ended], None]


class Pipe:
    """What came out of one pipe, as far as it is kept."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self.descriptor = descriptor
        self.kept = bytearray()
        self.truncated = False
        self._limit = limit

    def read(self) -> bool:
        """Take what is there, 64 KiB at most; False at the end of the pipe."""
        try:
            chunk = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return True
        except ConnectionResetError:  # a socket whose other end went away with something unread
            return False
        room = self._limit - len(self.kept)
        self.kept += chunk[:room]
        self.truncated |= len(chunk) > room
        return bool(chunk)


class Job:
    """A run, and how far it is. This one has no child, because none could be started."""

    def __init__(self, name: str, limits: Limits, on_end: OnEnd) -> None:
        self.name = name
        self.limits = limits
        self.on_end = on_end
        self.phase: Literal["running", "terminated", "killed", "draining"] = "running"
        self.verdict: tuple[Outcome, str] | None = None
        """Outcome and message, where they are certain before the child's end."""
        self.open_pipes: set[Pipe] = set()
        self.started = time.time()
        self.began = time.monotonic()
        self.deadline = self.began + limits.time
        """When to look at it again, whatever happens (time.monotonic)."""

    @property
    def pidfd(self) -> int | None:
        """Readable when the child has ended; None where no child is known."""
        return None

    def kill(self, number: signal.Signals) -> None:
        """Signal the child and all of its process group."""

    def close(self) -> Ended:
        """How it ended, leaving the verdict aside. The child is reaped, its descriptors are closed."""
        return self.ended("failed")

    def ended(
        self,
        outcome: Outcome,
        message: str = "",
        *,
        exit_code: int | None = None,
        output: bytes = b"",
        error: bytes = b"",
        truncated: bool = False,
        cpu: float = 0.0,
        peak_memory: int = 0,
    ) -> Ended:
        if self.verdict is not None:
            outcome, message = self.verdict
            exit_code = None
        return Ended(
            name=self.name,
            outcome=outcome,
            exit_code=exit_code,
            output=output,
            error=error,
            truncated=truncated,
            started=self.started,
            finished=self.started + time.monotonic() - self.began,
            cpu=cpu,
            peak_memory=peak_memory,
            message=message,
        )


class CommandJob(Job):
    """A program."""

    def __init__(self, name: str, limits: Limits, on_end: OnEnd, child: Child) -> None:
        super().__init__(name, limits, on_end)
        self._child = child
        self._output = Pipe(child.output, limits.output)
        self._error = Pipe(child.error, limits.output)
        self.open_pipes |= {self._output, self._error}

    @property
    def pidfd(self) -> int:
        return self._child.pidfd

    def kill(self, number: signal.Signals) -> None:
        self._child.signal_group(number)

    def close(self) -> Ended:
        end = self._child.reap()
        outcome: Outcome
        if end.code == 0:
            outcome, message = "done", ""
        elif reason := why_not_started(end.code, self._error.kept):
            self.verdict = self.verdict or ("failed", reason)
            return self.ended("failed", reason)
        elif end.code > 0:
            outcome, message = "failed", f"exit code {end.code}{_last_line(self._error.kept)}"
        else:
            outcome, message = "killed", f"ended by {_signal_name(-end.code)}"
        return self.ended(
            outcome,
            message,
            exit_code=end.code if end.code >= 0 else None,
            output=bytes(self._output.kept),
            error=bytes(self._error.kept),
            truncated=self._output.truncated or self._error.truncated,
            cpu=end.cpu,
            peak_memory=end.peak_memory,
        )


class CallJob(Job):
    """A Python function in a child of the fork server."""

    def __init__(self, name: str, limits: Limits, on_end: OnEnd, number: int, result: int) -> None:
        super().__init__(name, limits, on_end)
        self.number = number
        self._result = Pipe(result, forkserver.RESULT_LIMIT + len(forkserver.RESULT))
        self._pid = 0
        self._pidfd: int | None = None
        self.finished: forkserver.Finished | None = None
        """What the server said about its end; None until then, and for ever where the server died."""
        self.open_pipes.add(self._result)

    @property
    def pidfd(self) -> int | None:
        return self._pidfd

    def announce(self, pid: int, pidfd: int) -> None:
        self._pid, self._pidfd = pid, pidfd

    def kill(self, number: signal.Signals) -> None:
        if self._pidfd is None:
            return
        # The server reaps it, so its number may already mean another process: the pidfd tells.
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self._pidfd, 0)
            os.killpg(self._pid, number)

    def close(self) -> Ended:
        os.close(self._result.descriptor)
        if self._pidfd is not None:
            os.close(self._pidfd)
        if self.finished is None:
            return self.ended("lost", SERVER_ENDED)
        code = os.waitstatus_to_exitcode(self.finished.status)
        kept = self._result.kept
        tag, text = bytes(kept[:1]), bytes(kept[1:])
        outcome: Outcome = "failed"
        output = b""
        if self.finished.message:
            message = self.finished.message
        elif code < 0:
            outcome, message = "killed", f"ended by {_signal_name(-code)}"
        elif code == 0 and tag == forkserver.RESULT and not self._result.truncated:
            outcome, message, output = "done", "", text
        elif code == 0 and tag == forkserver.FAILURE:
            message = text.decode(errors="replace")
        else:
            message = f"ended without a result (exit code {code})"
        return self.ended(
            outcome, message, output=output, cpu=self.finished.cpu, peak_memory=self.finished.peak_memory
        )


def _last_line(text: bytearray) -> str:
    """`: ` and the last line that says something, or nothing."""
    lines = bytes(text[-4 * MESSAGE_LIMIT :]).decode(errors="replace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {bounded(line, MESSAGE_LIMIT)}" if line else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
