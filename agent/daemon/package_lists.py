"""What is installed and what waits, kept for the next report: asked for when the books changed, else never.

A process of its own asks, with low priority and a limit of time; the daemon looks at the books' times only.
"""

from __future__ import annotations

import logging
import sys

from agent.daemon.ledger import Ledger
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.packages import kept
from agent.packages.books import stamp
from agent.paths import System
from agent.state import State

log = logging.getLogger(__name__)

LOOK = 60.0
"""Seconds between looks at the books, and from the start to the first one."""
STAMP = "packages.stamp"
JOB = "packages:list"
"""No configured job or check can have this name."""
TRIES = 3
"""For the same books; then they are left until they change."""
_LIMITS = Limits(time=300.0, nice=19, idle_io=True, output=1 << 19)


class PackageLists:
    """Sees to it that the list is that of the books."""

    def __init__(self, jobs: Jobs, ledger: Ledger, state: State, system: System) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._system = system
        self._folder = state.folder
        self._done = state.get(STAMP) or ""
        self._tried: tuple[str, int] = ("", 0)

    def look(self) -> None:
        """Have it made anew where the books changed, or the check of updates has looked again."""
        books = stamp(self._system)
        if not books:
            return
        looks = (each.state.time for each in self._ledger.checks.values() if each.state.kind == "updates")
        now = f"{books} {max(looks, default=0.0)}"
        tries = self._tried[1] if self._tried[0] == now else 0
        if now == self._done or tries >= TRIES:
            return
        words = [sys.executable, "-P", "-m", "agent.packages.gather", str(self._system.root), str(self._folder)]
        if self._jobs.start_command(JOB, words, limits=_LIMITS, on_end=lambda ended: self._ended(now, ended)):
            self._tried = now, tries + 1

    def begin_anew(self) -> None:
        """Another database took the place of the one that was damaged: it shall have the list too."""
        self._done, self._tried = "", ("", 0)

    def _ended(self, now: str, ended: Ended) -> None:
        try:
            if ended.outcome != "done":
                last = ended.error.decode(errors="replace").strip().rpartition("\n")[2]
                raise ValueError(last or ended.message)
            kept.decode(ended.output)
        except ValueError as error:
            log.warning("what is installed cannot be told: %s", error)
            return
        self._done = now
        for key, value in kept.values(ended.output).items():
            self._ledger.put(key, value)
        self._ledger.put(STAMP, now)
