"""What a child process may use."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """The bounds of one run. They hold from the first instruction of the program or function."""

    time: float
    """Seconds until it is ended: SIGTERM to its whole group, SIGKILL a little later."""
    nice: int = 0
    """Added to the agent's own niceness, 0 to 19."""
    idle_io: bool = False
    """Disk I/O only when nobody else wants any (ioprio class 3, which the BFQ scheduler heeds)."""
    memory: int | None = None
    """Bytes of address space for each of its processes (RLIMIT_AS), which is more than it keeps resident."""
    output: int = 65536
    """Bytes kept of a program's standard output, and as many of its standard error; the rest is read and dropped."""
