"""A run of a job or a check by root's half of the agent, as the daemon sees it: a connection instead of a child."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

from agent.jobs.limits import Limits
from agent.jobs.process import CannotStartError
from agent.jobs.run import Ended, Job, OnEnd, Pipe
from agent.privileged.protocol import MAX_REPLY, ProtocolError, decode_reply

STARTING = 15.0
"""Seconds that root's half has beyond the run's own limit. It ends what is overdue itself, and says so."""
SENDING = 0.25
"""Seconds until what is asked for must be in the socket's buffer, which has room unless too many ask at once."""


class RemoteJob(Job):
    """It ends when root's half closes the connection, and is ended by closing the sending side of it."""

    def __init__(self, name: str, limits: Limits, on_end: OnEnd, place: Path, request: bytes) -> None:
        """Connect, and ask. Raises CannotStartError."""
        super().__init__(name, limits, on_end)
        self.deadline += STARTING
        self._socket = _ask(place, request)
        self._reply = Pipe(self._socket.fileno(), MAX_REPLY)
        self.open_pipes.add(self._reply)

    def kill(self, number: signal.Signals) -> None:
        """Root's half stops what runs, within its own grace, and then closes the connection."""
        with suppress(OSError):  # It has gone already.
            self._socket.shutdown(socket.SHUT_WR if number == signal.SIGTERM else socket.SHUT_RDWR)

    def close(self) -> Ended:
        self._socket.close()
        try:
            reply = decode_reply(bytes(self._reply.kept))
        except ProtocolError as error:
            return self.ended("failed", str(error))
        return self.ended(
            reply.outcome,
            reply.message,
            exit_code=reply.exit_code,
            output=reply.output,
            error=reply.error,
            truncated=reply.truncated,
            cpu=reply.cpu,
            peak_memory=reply.peak_memory,
        )


def _ask(place: Path, request: bytes) -> socket.socket:
    try:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotStartError(f"root's half of the agent cannot be asked: {error.strerror}") from error
    try:
        link.settimeout(SENDING)
        link.connect(os.fspath(place))
        link.sendall(request)
        link.setblocking(False)
    except FileNotFoundError as error:
        link.close()
        raise CannotStartError(
            f"it is privileged, and root's half of the agent does not listen at {place} "
            "(systemctl enable --now hostward-jobs.socket)"
        ) from error
    except OSError as error:
        link.close()
        why = "it takes too long" if isinstance(error, TimeoutError) else error.strerror
        raise CannotStartError(f"root's half of the agent cannot be asked at {place}: {why}") from error
    return link
