"""Work that may be heavy, hang or crash: each job is a child process with limits, and always has an outcome.

A job is a program, started as a child of the agent, or a Python function, run in a fork of the fork server, or what
root's half of the agent runs for it (agent/jobs/remote.py). One of a name runs at a time. Everything happens in the
one thread that calls `wait`, and that must be the main thread (see agent/jobs/process.py).

How a job ends: the child exits; what is still in its pipes is read, for a moment only, since a process that it left
behind may hold them open; then whatever is left of its process group is killed, and `on_end` is called. A child whose
time is up gets SIGTERM, and SIGKILL after a grace. One that even SIGKILL does not end, because it hangs in the kernel
on a dead disk or mount, is reported all the same; its name stays taken until it is gone, so that such children never
pile up.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import msgspec

from agent.jobs import forkserver
from agent.jobs.limits import Limits
from agent.jobs.process import CannotStartError, Child, start, start_server
from agent.jobs.remote import RemoteJob
from agent.jobs.run import SERVER_ENDED, CallJob, CommandJob, Job, OnEnd, Outcome, Pipe
from kit.units import format_duration

KILL_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
STUCK_AFTER = 1.0
"""Seconds after SIGKILL when a child that still exists counts as stuck in the kernel."""
WITH_AGENT = "ended with the agent"
"""What is said of a job that was ended by `stop`."""
DRAIN_TIME = 0.25
"""Seconds for which pipes are read after the child's end."""
LONGEST_WAIT = 86400.0
"""Seconds: epoll(7) takes no more than 24 days at once."""


class Jobs:
    """The jobs of a process that has one loop, which sleeps in `wait`.

    Other files may be registered with the same selector; their `data` is a function without arguments, which `wait`
    calls when the file is ready. Raises ValueError outside of the main thread.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._jobs: dict[str, Job] = {}
        self._stuck: set[str] = set()
        self._calls: dict[int, CallJob] = {}
        self._numbers = count(1)
        self._server: _ForkServer | None = None
        self._stopping = False
        # Whoever started the agent may have it ignored; then the kernel forgets how children ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    @property
    def running(self) -> frozenset[str]:
        """The names whose `on_end` is still to come."""
        return frozenset(self._jobs)

    def start_command(
        self,
        name: str,
        argv: Sequence[str],
        *,
        limits: Limits,
        environment: Mapping[str, str] | None = None,
        given: bytes = b"",
        folder: str = "/",
        on_end: OnEnd,
    ) -> bool:
        """Start a program: `argv[0]` is an absolute path or a name on PATH, `environment` is added to a minimal one,
        `given` is its input, `folder` where it works.

        False while one of that name runs or is stuck, and after `stop`. What cannot be started ends as `failed`:
        `on_end` is always called from within `wait`, and once.
        """
        if not self._is_free(name):
            return False
        try:
            child = start(argv, limits=limits, environment=environment, given=given, folder=folder)
        except CannotStartError as error:
            self._add_failed(Job(name, limits, on_end), str(error))
            return True
        job = CommandJob(name, limits, on_end, child)
        self._add(job)
        self._selector.register(child.pidfd, selectors.EVENT_READ, partial(self._child_ended, job))
        return True

    def start_call(self, name: str, function: str, argument: bytes, *, limits: Limits, on_end: OnEnd) -> bool:
        """Run `function`, "module:callable" from bytes to bytes (1 MiB at most), in a fork of the fork server.

        As `start_command` otherwise. `limits.output` says nothing here, and a memory limit counts the address space
        of Python itself (some 30 MiB).
        """
        if not self._is_free(name):
            return False
        number = next(self._numbers)
        try:
            result = self._send_call(forkserver.Call(number, function, limits), argument)
        except OSError as error:
            self._add_failed(Job(name, limits, on_end), f"no process could be started: {error.strerror}")
            return True
        job = CallJob(name, limits, on_end, number, result)
        self._calls[number] = job
        self._add(job)
        return True

    def start_remote(self, name: str, place: Path, request: bytes, *, limits: Limits, on_end: OnEnd) -> bool:
        """Have root's half of the agent, which listens at `place`, do what `request` asks for
        (agent.privileged.protocol).

        As `start_command` otherwise. Only `limits.time` says something here: root's configuration has the others.
        """
        if not self._is_free(name):
            return False
        try:
            job = RemoteJob(name, limits, on_end, place, request)
        except CannotStartError as error:
            self._add_failed(Job(name, limits, on_end), str(error))
            return True
        self._add(job)
        return True

    def next_deadline(self) -> float | None:
        """When `wait` would act though nothing happens (time.monotonic), None while nothing runs."""
        return min((job.deadline for job in self._jobs.values()), default=None)

    def wait(self, timeout: float | None) -> None:
        """Sleep until output, an end, a deadline or another registered file, or for `timeout` seconds; act on it."""
        if (deadline := self.next_deadline()) is not None:
            left = max(0.0, deadline - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        if timeout is not None:
            timeout = min(timeout, LONGEST_WAIT)
        for key, _ in self._selector.select(timeout):
            # What ran before in this round may have closed this file, and even opened another of the same number.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.deadline <= now:
                self._overdue(job)

    def stop(self, grace: float) -> None:
        """End all jobs, with `grace` seconds between SIGTERM and SIGKILL, then the fork server.

        `on_end` is called for each. Takes no longer than `grace` and two seconds; afterwards nothing can be started.
        """
        self._stopping = True
        for job in self._jobs.values():
            if job.phase == "running":
                self._terminate(job, ("killed", WITH_AGENT), grace)
            elif job.phase == "terminated":
                job.deadline = min(job.deadline, time.monotonic() + grace)
        while self._jobs:
            self.wait(None)
        end = time.monotonic() + STUCK_AFTER
        while self._server is not None and (left := end - time.monotonic()) > 0:
            self._server.child.signal_group(signal.SIGKILL)
            self.wait(left)

    def _is_free(self, name: str) -> bool:
        return not self._stopping and name not in self._jobs and name not in self._stuck

    def _add(self, job: Job) -> None:
        self._jobs[job.name] = job
        for pipe in job.open_pipes:
            self._selector.register(pipe.descriptor, selectors.EVENT_READ, partial(self._readable, job, pipe))

    def _add_failed(self, job: Job, message: str) -> None:
        """Let the next `wait` tell."""
        job.verdict = ("failed", message)
        job.phase = "draining"
        job.deadline = job.began
        self._add(job)

    def _readable(self, job: Job, pipe: Pipe) -> None:
        if pipe.read():
            return
        self._selector.unregister(pipe.descriptor)
        job.open_pipes.remove(pipe)
        if not job.open_pipes and (job.phase == "draining" or isinstance(job, RemoteJob)):
            job.phase = "draining"
            job.deadline = time.monotonic()

    def _child_ended(self, job: Job) -> None:
        if job.pidfd is not None and job.pidfd in self._selector.get_map():
            self._selector.unregister(job.pidfd)
        job.phase = "draining"
        job.deadline = time.monotonic() + (DRAIN_TIME if job.open_pipes else 0)

    def _overdue(self, job: Job) -> None:
        if job.phase == "running":
            limit = format_duration(job.limits.time)
            self._terminate(job, ("timed_out", f"stopped at its time limit of {limit}"), KILL_GRACE)
        elif job.phase == "terminated":
            self._kill(job)
            if isinstance(job, CallJob) and job.pidfd is None and self._server is not None:
                # It never came to fork: it hangs, in the import of some call's module most likely.
                self._server.child.signal_group(signal.SIGKILL)
        elif job.phase == "killed":
            self._give_up(job)
        else:
            self._finish(job)

    def _terminate(self, job: Job, verdict: tuple[Outcome, str], grace: float) -> None:
        job.verdict = verdict
        job.phase = "terminated"
        job.deadline = time.monotonic() + grace
        job.kill(signal.SIGTERM)

    def _kill(self, job: Job) -> None:
        job.phase = "killed"
        job.deadline = time.monotonic() + STUCK_AFTER
        job.kill(signal.SIGKILL)

    def _finish(self, job: Job) -> None:
        self._forget(job)
        job.kill(signal.SIGKILL)  # What the child left behind in its group.
        job.on_end(job.close())

    def _give_up(self, job: Job) -> None:
        """Tell the outcome of a child that does not end, and keep its name taken until it does."""
        self._forget(job)
        if job.pidfd is None:
            job.on_end(job.close())
            return
        if job.pidfd in self._selector.get_map():
            self._selector.unregister(job.pidfd)
        self._stuck.add(job.name)
        self._selector.register(job.pidfd, selectors.EVENT_READ, partial(self._release, job, job.pidfd))
        outcome, message = job.verdict or ("killed", "killed")
        job.verdict = (outcome, f"{message}, but it hangs and cannot be ended")
        job.on_end(job.ended(outcome))

    def _release(self, job: Job, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        self._stuck.discard(job.name)
        job.close()

    def _forget(self, job: Job) -> None:
        del self._jobs[job.name]
        for pipe in job.open_pipes:
            self._selector.unregister(pipe.descriptor)
        job.open_pipes.clear()
        if isinstance(job, CallJob):
            self._calls.pop(job.number, None)

    def _send_call(self, call: forkserver.Call, argument: bytes) -> int:
        """Ask the server, which is started if need be; returns the reading end of the result's pipe."""
        result, theirs = os.pipe()
        try:
            os.set_blocking(result, False)
            with open(os.memfd_create("argument"), "wb") as file:
                file.write(argument)
                file.flush()
                packet, handed = msgspec.msgpack.encode(call), [file.fileno(), theirs]
                server = self._server or self._start_server()
                try:
                    socket.send_fds(server.link, [packet], handed)
                except ConnectionError:  # It has ended, which `wait` has not seen yet.
                    self._server_ended(server)
                    socket.send_fds(self._start_server().link, [packet], handed)
        except OSError:
            os.close(result)
            raise
        finally:
            os.close(theirs)
        return result

    def _start_server(self) -> _ForkServer:
        server = self._server = _ForkServer()
        self._selector.register(server.link, selectors.EVENT_READ, partial(self._hear, server))
        self._selector.register(server.child.pidfd, selectors.EVENT_READ, partial(self._server_ended, server))
        return server

    def _hear(self, server: _ForkServer) -> None:
        """Take what the server and its children say."""
        while True:
            try:
                packet, descriptors, _, _ = socket.recv_fds(
                    server.link, forkserver.PACKET_LIMIT, 1, socket.MSG_CMSG_CLOEXEC
                )
                message = server.decoder.decode(packet)
            except BlockingIOError:
                return
            except (OSError, msgspec.DecodeError):
                # The end of the socket, or a server of another version than this process. Its pidfd tells the rest.
                self._selector.unregister(server.link)
                server.child.signal_group(signal.SIGKILL)
                return
            job = self._calls.get(message.id)
            if isinstance(message, forkserver.Started):
                self._call_started(job, message.pid, descriptors)
            elif job is not None:
                del self._calls[message.id]
                job.finished = message
                self._child_ended(job)

    def _call_started(self, job: CallJob | None, pid: int, descriptors: Sequence[int]) -> None:
        for pidfd in descriptors:
            if job is None:  # It was given up while the server hung.
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)
            else:
                job.announce(pid, pidfd)
                if job.phase != "running":
                    job.kill(signal.SIGKILL)

    def _server_ended(self, server: _ForkServer) -> None:
        """Its children do not know: they are killed by their pidfds, which from now on tell of their ends."""
        if server.link in self._selector.get_map():
            self._hear(server)
        self._close_server(server)
        for job in list(self._calls.values()):
            job.verdict = job.verdict or ("lost", SERVER_ENDED)
            if job.pidfd is None:
                self._child_ended(job)
            else:
                self._selector.register(job.pidfd, selectors.EVENT_READ, partial(self._child_ended, job))
                self._kill(job)

    def _close_server(self, server: _ForkServer) -> None:
        for file in (server.link, server.child.pidfd):
            if file in self._selector.get_map():
                self._selector.unregister(file)
        server.link.close()
        server.child.reap()
        self._server = None


class _ForkServer:
    """The fork server as the agent sees it."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.decoder = msgspec.msgpack.Decoder(forkserver.Started | forkserver.Finished)
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.setblocking(False)
        try:
            self.child: Child = start_server(
                [sys.executable, "-P", "-m", "agent.jobs.forkserver", str(theirs.fileno())],
                theirs.fileno(),
                environment={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError:
            self.link.close()
            raise
        finally:
            theirs.close()
