"""A small process with one thread that forks a child for each call of a Python function.

The agent has threads, so it must not fork itself; and starting Python afresh for each call would cost a quarter of a
second of CPU, with the modules that a check needs. So the agent starts this server by exec when it is first needed,
and asks it over a socket. What can hang, crash or eat memory happens in the children:

    agent ── Call, with two descriptors: the argument (a memfd) and a pipe for the result ──► server ── fork ─► child
    agent ◄────────────────────────────────────────────────────────── Started, with a pidfd of itself ── child
    agent ◄── Finished, with its wait status and usage ── server
    agent ◄────────────── one tag byte, then the result or the text of an exception ─────────────────────────── child

Messages are msgpack, one to a packet (SOCK_SEQPACKET keeps their bounds). The socket's end is the server's end: it
kills its children and exits. Should the server be killed, the agent kills the children by their pidfds; should both
be killed at once, each child's own alarm ends it.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import msgspec

from agent.jobs.limits import Limits
from kit.units import format_size

RESULT_LIMIT = 2**20
"""Bytes that a function may return."""
PACKET_LIMIT = 65536
RESULT, FAILURE = b"\x00", b"\x01"
"""What follows on the result's pipe: what the function returned, or one line about why it did not."""
MESSAGE_LIMIT = 500
"""Characters of an exception's text."""
ALARM_GRACE = 5.0
"""Seconds that the agent has, after a call's time is up, before the child's own alarm ends it."""


class Call(msgspec.Struct, tag="call"):
    """Run `function`, "module:callable", from bytes to bytes."""

    id: int
    function: str
    limits: Limits


class Started(msgspec.Struct, tag="started"):
    """The child runs. It leads a process group of its own."""

    id: int
    pid: int


class Finished(msgspec.Struct, tag="finished"):
    """The child ended, or could not be forked; `message` is for the latter."""

    id: int
    status: int = 0
    """As wait() gives it."""
    cpu: float = 0.0
    peak_memory: int = 0
    message: str = ""


class Server:
    """Answers calls on `link` until its other end is closed; then kills what still runs."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        self._children: dict[int, tuple[int, int]] = {}
        """pidfd: (the call's id, pid)"""
        self._decoder = msgspec.msgpack.Decoder(Call)

    def run(self) -> None:
        """Raises OSError when the agent is gone in the middle of an answer."""
        try:
            while True:
                for ready, _ in self._poll.poll():
                    if ready in self._children:
                        self._reap(ready)
                    elif not self._receive():
                        return
        finally:
            for _, pid in self._children.values():
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)

    def _receive(self) -> bool:
        """Take one call; False at the end of the agent."""
        packet, descriptors, _, _ = socket.recv_fds(self._link, PACKET_LIMIT, 2)
        if not packet:
            return False
        argument, result = descriptors
        call = self._decoder.decode(packet)
        # Imported here, the module is there for this child and all later ones. Whatever goes wrong goes wrong again
        # in the child, which tells.
        with suppress(Exception, SystemExit):
            _find(call.function)
        try:
            self._fork(call, argument, result)
        except OSError as error:
            _send(self._link, Finished(call.id, message=f"no process could be started: {error.strerror}"))
        finally:
            os.close(argument)
            os.close(result)
        return True

    def _fork(self, call: Call, argument: int, result: int) -> None:
        pid = os.fork()
        if pid == 0:
            _run(self._link, call, argument, result)
        with suppress(OSError):
            os.setpgid(pid, pid)  # The child does the same: the group exists for whoever needs it first.
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._children[pidfd] = (call.id, pid)
        self._poll.register(pidfd, select.POLLIN)

    def _reap(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        number, pid = self._children.pop(pidfd)
        os.close(pidfd)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # What it left behind, while the number is still its own.
        _, status, usage = os.wait4(pid, 0)
        _send(self._link, Finished(number, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024))


def _send(link: socket.socket, message: Started | Finished, *descriptors: int) -> None:
    socket.send_fds(link, [msgspec.msgpack.encode(message)], descriptors)


def _find(function: str) -> Callable[[bytes], bytes]:
    module, _, name = function.partition(":")
    found: Callable[[bytes], bytes] = getattr(import_module(module), name)
    return found


def _run(link: socket.socket, call: Call, argument: int, result: int) -> NoReturn:
    """The child's whole life. It never returns into the server's frames, whatever is raised.

    It announces itself, so that nothing runs of which the agent does not know, even if the server is killed now.
    """
    code = 1
    try:
        os.setpgid(0, 0)
        _send(link, Started(call.id, os.getpid()), os.pidfd_open(os.getpid()))
        _close_all_but(argument, result)
        signal.setitimer(signal.ITIMER_REAL, call.limits.time + ALARM_GRACE)
        answer = _answer(call, argument)
        with open(result, "wb") as pipe:
            pipe.write(answer)
        code = 0
    finally:
        os._exit(code)


def _answer(call: Call, argument: int) -> bytes:
    try:
        with open(argument, "rb") as file:
            file.seek(0)
            data = file.read()
        _limit(call.limits)
        value = _find(call.function)(data)
        if not isinstance(value, bytes):
            raise TypeError(f"{call.function} returned {type(value).__name__} instead of bytes")
        if len(value) > RESULT_LIMIT:
            raise ValueError(f"the result is larger than {format_size(RESULT_LIMIT)}")
        return RESULT + value
    except MemoryError:
        memory = call.limits.memory
        limit = f" (its limit is {format_size(memory)})" if memory is not None else ""
        return FAILURE + f"out of memory{limit}".encode()
    except BaseException as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return FAILURE + text[:MESSAGE_LIMIT].encode(errors="replace")


def _limit(limits: Limits) -> None:
    if limits.nice:
        os.nice(limits.nice)
    if limits.idle_io:
        import psutil  # A megabyte that only this child needs.

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    if limits.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))


def _close_all_but(*kept: int) -> None:
    """The child must not hold the server's socket, by whose end the agent and the server know of each other's."""
    for descriptor in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor not in kept:
            with suppress(OSError):  # The one by which the folder was read is among them.
                os.close(descriptor)


def main() -> None:
    """`python -m agent.jobs.forkserver DESCRIPTOR`: serve on an inherited socket."""
    with socket.socket(fileno=int(sys.argv[1])) as link, suppress(OSError):
        Server(link).run()


if __name__ == "__main__":
    main()
