"""Work in a forked child, so that nothing that takes long, hangs or fails keeps the watcher from watching.

The watcher has no threads, so a fork is safe; it is also the quickest way to begin, since all is loaded already.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_PIECE = 1 << 16
MOST = 64 * 2**20
"""Bytes of an answer."""


class Child:
    """A child that works. It dies with the process that made it, whatever ends that."""

    def __init__(self, work: Callable[[], bytes], *, low: bool = False) -> None:
        """`work` gives what `answer` will be; it may log, and must raise nothing. `low`: it has all the time."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(reader)
                _begin(parent, low=low)
                answer = memoryview(work())
                while answer:
                    answer = answer[os.write(writer, answer) :]
                code = 0
            except BaseException:
                log.exception("what a child of the watcher did went wrong")
            finally:
                os._exit(code)
        os.close(writer)
        os.set_blocking(reader, False)
        self._reader = reader
        self._answer = bytearray()

    def fileno(self) -> int:
        """Readable when there is something for `read`."""
        return self._reader

    def read(self) -> bool:
        """Take what it has written; True once it has ended."""
        try:
            while part := os.read(self._reader, _PIECE):
                self._answer += part
                if len(self._answer) > MOST:
                    self.kill()
                    self._answer.clear()
        except BlockingIOError:
            return False
        return True

    def kill(self) -> None:
        """End it, and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> bytes | None:
        """Its answer, None where it failed or was killed. It must have ended, or be about to."""
        os.close(self._reader)
        _, status = os.waitpid(self.pid, 0)
        return bytes(self._answer) if status == 0 else None


def _begin(parent: int, *, low: bool) -> None:
    # With the group whatever it starts can be ended.
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if low:
        os.nice(19)
        import psutil  # 20 ms, which only who has time pays

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
