"""What a run may use, set by itself: so it holds by hand as by the timetable, and for all that it starts."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions


class TimeIsUpError(KeyboardInterrupt):
    """As a signal ends a command: what is open is closed on the way out."""


def take(job: BackupOptions | DrillOptions) -> None:
    """Niceness, I/O priority and memory of this process from now on. Raises OSError."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice < job.nice:
        os.setpriority(os.PRIO_PROCESS, 0, job.nice)
    if job.idle_io:
        import psutil  # a megabyte, for those who ask for it

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    if job.memory_max is not None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = int(job.memory_max) if most == resource.RLIM_INFINITY else min(int(job.memory_max), most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise TimeIsUpError in the block when it takes longer. For the main thread."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGALRM, stop)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)
