"""The workers as their parent sees them: forked when there is work, given little at a time, missed when they die."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from backup.archive.messages import (
    Answer,
    Chunk,
    Failed,
    Files,
    Finish,
    Finished,
    PackDone,
    Task,
    decode_answer,
    encode,
)
from backup.archive.worker import Settings, run_worker
from backup.errors import RepositoryError
from backup.forked import die_with

OUTSTANDING = 3
"""Tasks given to a worker that it has not answered. Small ones, so that a send never waits: both sides could."""


@dataclass(eq=False)
class _Hand:
    pid: int
    connection: Connection
    outstanding: int = 0
    finished: bool = False


class Crew:
    """Forked workers. Errors of theirs, and their death, come as RepositoryError.

    `settings` is called when there is work. Each worker takes some 20 MB, so there are no more of them than have work
    to do, until `complete` is called.
    """

    def __init__(self, settings: Callable[[], Settings], count: int, on_answer: Callable[[Answer], None]) -> None:
        self._make_settings = settings
        self._settings: Settings | None = None
        self._count = count
        self._on_answer = on_answer
        self._hands: list[_Hand] = []
        self._finishing = False
        self._refused = ""
        """Why no more could be forked."""

    def give(self, task: Files | Chunk) -> None:
        """Give a task to a worker that has room, after a wait for answers where none has."""
        self.hear(block=False)
        hand = self._freest()
        if (hand is None or hand.outstanding >= OUTSTANDING) and len(self._hands) < self._count:
            hand = self._fork_one() or hand
        if hand is None:
            raise RepositoryError(f"no worker of the backup could be started: {self._refused}")
        while hand.outstanding >= OUTSTANDING:
            self.hear(block=True)
            hand = self._freest()
            assert hand is not None
        hand.outstanding += 1
        self._send(hand, task)

    def complete(self) -> None:
        """Fork those that there are not yet. To be called before any thread is started that may hold locks of
        libraries, as uploads do: who forks then has them locked for good.
        """
        while not self._finishing and len(self._hands) < self._count:
            if self._fork_one() is None:
                return

    def _freest(self) -> _Hand | None:
        return min(self._hands, key=lambda hand: hand.outstanding, default=None)

    def hear(self, *, block: bool) -> None:
        """Take the answers that are there; wait for one with `block`."""
        by_connection = {hand.connection: hand for hand in self._hands if not hand.finished}
        for ready in wait(list(by_connection), None if block else 0):
            assert isinstance(ready, Connection)
            hand = by_connection[ready]
            try:
                answer = decode_answer(ready.recv_bytes())
            except (EOFError, OSError):
                raise RepositoryError(self._obituary(hand)) from None
            if isinstance(answer, Failed):
                raise RepositoryError(answer.reason)
            if isinstance(answer, Finished):
                hand.finished = True
            elif not isinstance(answer, PackDone):
                hand.outstanding -= 1
            self._on_answer(answer)

    @property
    def busy(self) -> bool:
        """Whether answers are to come."""
        return any(hand.outstanding for hand in self._hands)

    def finish(self) -> None:
        """Have every worker write its last pack and end."""
        self._finishing = True
        for hand in self._hands:
            self._send(hand, Finish())
        while any(not hand.finished for hand in self._hands):
            self.hear(block=True)
        for hand in self._hands:
            os.waitpid(hand.pid, 0)
            hand.connection.close()
        self._hands = []

    def abandon(self) -> None:
        """End all workers at once. What they spooled is removed, by them or by whoever cleans the spool."""
        for hand in self._hands:
            _remove_unheard(hand.connection)
            hand.connection.close()
        for hand in self._hands:
            with suppress(ProcessLookupError, ChildProcessError):
                # A worker that reads tasks sees the end of the connection, and cleans up; one that does not is ended.
                if not _ended(hand.pid):
                    os.kill(hand.pid, signal.SIGTERM)
                    os.waitpid(hand.pid, 0)
        self._hands = []

    def _send(self, hand: _Hand, task: Task) -> None:
        try:
            hand.connection.send_bytes(encode(task))
        except OSError:
            raise RepositoryError(self._obituary(hand)) from None

    def _fork_one(self) -> _Hand | None:
        """None where the system starts no more: then those that there are do it."""
        parent, number = os.getpid(), len(self._hands)
        if self._settings is None:
            self._settings = self._make_settings()
        ours, theirs = Pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns where there are threads. None that works with libraries has been started (`complete`),
            # but the one that renews the lock of the repository, every few minutes, for some milliseconds.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                pid = os.fork()
            except OSError as error:
                ours.close()
                theirs.close()
                self._count, self._refused = max(1, len(self._hands)), error.strerror or str(error)
                return None
        if pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is asked too, and ends the workers
                signal.signal(signal.SIGTERM, _stop)
                signal.set_wakeup_fd(-1)
                die_with(parent)
                ours.close()
                for hand in self._hands:
                    hand.connection.close()
                run_worker(self._settings, theirs, number)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        hand = _Hand(pid, ours)
        self._hands.append(hand)
        return hand

    def _obituary(self, hand: _Hand) -> str:
        with suppress(ChildProcessError):
            _, status = os.waitpid(hand.pid, 0)
            self._hands.remove(hand)
            if os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
                cause = " (did memory run out?)" if number == signal.SIGKILL else ""
                return f"a worker of the backup was killed by signal {number}{cause}; no snapshot was made"
        return "a worker of the backup ended before its work was done; no snapshot was made"


def _remove_unheard(connection: Connection) -> None:
    """Remove packs that a worker has told of and that nobody took."""
    with suppress(EOFError, OSError):
        while connection.poll():
            answer = decode_answer(connection.recv_bytes())
            if isinstance(answer, PackDone) and answer.path:
                Path(answer.path).unlink(missing_ok=True)


def _stop(number: int, frame: object) -> None:
    raise SystemExit(1)


def _ended(pid: int) -> bool:
    """Whether a process ends by itself within a moment."""
    for _ in range(20):
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return True
        signal.sigtimedwait([], 0.01)
    return False
