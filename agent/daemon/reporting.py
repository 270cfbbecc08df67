"""The daemon's side of reporting home: finds out that there is a home, and puts together what goes there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.config.schema import HomeOptions
from agent.home import identity
from agent.home.reporter import Reporter
from agent.home.spool import Spool
from agent.state import State, StateCorruptError, StateError
from kit.errors import HostwardError

if TYPE_CHECKING:
    from agent.home.sender import Sender

log = logging.getLogger(__name__)

Stamp = tuple[int, int] | None
"""Inode and time of change of the file that says who this host is."""
SHORTEST, LONGEST = 1.0, 3600.0
"""Seconds between reports, whatever home asks for."""


class Reporting:
    """Nothing at all until the host is enrolled; then a report at each call, and a thread that delivers them."""

    def __init__(self, state: State, boot: str, options: HomeOptions) -> None:
        self._options = options
        self._state = state
        self._boot = boot
        self._stamp: Stamp = None
        self._reporter: Reporter | None = None
        self._sender: Sender | None = None

    @property
    def interval(self) -> float:
        """Seconds between reports: what home asked for, else what is configured."""
        wanted = self._sender.wanted_interval if self._sender is not None else None
        return float(self._options.interval) if wanted is None else min(max(wanted, SHORTEST), LONGEST)

    @property
    def enrolled(self) -> bool:
        """Whether there is a home to report to."""
        return self._reporter is not None

    def look(self) -> bool:
        """Look for an enrolment that was made, or made anew, while the daemon runs. True when there is a new one."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.stop(0.0)
        try:
            found = identity.load(self._state.folder)
            if found is None:
                return False
            from agent.home.sender import Sender  # TLS and libsodium: 3 MB that a host without a home saves

            sender = Sender(self._state, found, timeout=float(self._options.timeout))
        except HostwardError as error:
            log.error("%s", error)
            self._stamp = None  # What was wrong may be mended in another file than the one that the stamp is of.
            return False
        sender.start()
        self._reporter = Reporter(self._state, Spool(self._state), host=found.host, boot=self._boot)
        self._sender = sender
        log.info("reporting to %s as %s", found.collector, found.name)
        return True

    def adopt(self, options: HomeOptions) -> None:
        """These options hold from now on."""
        before, self._options = self._options, options
        if self._sender is not None and options.timeout != before.timeout:
            self._stamp = None
            self.look()

    def report(self, facts: dict[str, str], *, now: float) -> None:
        """Put what waits into the spool as a report, and wake the thread that delivers it.

        Raises StateCorruptError. What there is no room for goes on waiting, and is in a later report.
        """
        if self._reporter is None or self._sender is None:
            return
        try:
            self._reporter.compose(
                facts=facts,
                interval=self.interval,
                now=now,
                max_size=int(self._options.spool_max_size),
                max_age=float(self._options.spool_max_age),
            )
            self._state.give_back()
        except StateCorruptError:
            raise
        except StateError as error:
            log.error("no report could be put together: %s", error)
        self._sender.wake()

    def stop(self, timeout: float) -> None:
        """End the thread, giving a delivery under way that many seconds. What is undelivered waits in the spool."""
        if self._sender is not None:
            self._sender.stop(timeout)
        self._sender = self._reporter = None

    def begin_anew(self, state: State) -> None:
        """Another database took the place of the one that was damaged: its numbers begin again."""
        self._state = state
        self._stamp = None
        self.look()

    def _read_stamp(self) -> Stamp:
        try:
            found = (self._state.folder / identity.IDENTITY).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
