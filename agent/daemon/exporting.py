"""The daemon's side of the metrics: takes the port, and tells the thread that serves how things stand."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.checks.contract import CheckOptions
from agent.config.schema import METRICS_CHECK, MetricsOptions
from agent.daemon.ledger import Ledger
from agent.metrics.address import Address
from agent.metrics.scrape import Scraper
from agent.metrics.text import CONTENT_TYPE, encode
from agent.metrics.told import Told
from agent.paths import System
from kit.version import __version__
from wire.report import Event, State

if TYPE_CHECKING:
    from agent.metrics.server import Answer, Server

log = logging.getLogger(__name__)

BACKLOG = 16
PATIENCE = 1.0
"""Seconds for the thread to end."""


class Exporting:
    """Nothing at all while it is off. A port that somebody else has is asked for again at each `look`.

    Where the configuration names the address, the check `metrics` says whether it is served. The default address is
    taken where it is free, and nobody hears of it where it is not: a second agent on a host is no fault.
    """

    def __init__(self, ledger: Ledger, system: System, folder: Path) -> None:
        self._ledger = ledger
        self._system = system
        self._folder = folder
        self._options = MetricsOptions(listen="off")
        self._server: Server | None = None
        self._told = Told(system, folder, __version__)
        self._folders: tuple[str, ...] = ()
        self._scraper = Scraper()
        self._said: tuple[State, str] | None = None

    @property
    def checks(self) -> Collection[str]:
        """The name of the check that tells how this stands, where there is one."""
        return {METRICS_CHECK} if self._options.is_named else ()

    def adopt(self, options: MetricsOptions, checks: Mapping[str, CheckOptions]) -> None:
        """These options, and these checks, hold from now on."""
        before, self._options = self._options, options
        self._folders = tuple(sorted({folder for name, each in checks.items() for folder in _folders(name, each)}))
        self._said = None
        if options.address != before.address:
            self.stop()
        if self._server is None:
            self.look()
        else:
            self._serves()

    def look(self) -> None:
        """Take the port where it is not taken yet."""
        address = self._options.address
        if address is None or self._server is not None:
            return
        from agent.metrics.server import Server  # with what it needs, 0.3 MB that a host without metrics saves

        try:
            server = Server(_listen(address), self._answer)
            server.start()
        except OSError as error:
            reason = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror
            self._stands("warning", f"nothing is served on {address}: {reason}; it is tried again")
            return
        self._server = server
        self._ledger.showing = True
        self.publish()
        self._serves()

    def publish(self) -> None:
        """Tell the thread how things stand now."""
        if self._server is not None:
            checks = {name: stored.state for name, stored in self._ledger.checks.items()}
            readings = dict(self._ledger.shown)
            self._told = Told(self._system, self._folder, __version__, checks, readings, self._folders)

    def stop(self) -> None:
        """Free the port."""
        if self._server is not None:
            self._server.stop(PATIENCE)
            self._server = None
            self._ledger.showing = False

    def _answer(self) -> Answer:
        """Called by the thread. One look at `_told`, so that all is of one moment."""
        text = encode(self._scraper.scrape(self._told))
        _give_back()
        return CONTENT_TYPE, text

    def _serves(self) -> None:
        self._stands("ok", f"http://{self._options.address}/metrics")

    def _stands(self, state: State, text: str) -> None:
        if self._said == (state, text):
            return
        self._said = (state, text)
        if not self._options.is_named:
            log.info("metrics: %s", text)
            return
        now = time.time()
        if self._ledger.stands(METRICS_CHECK, METRICS_CHECK, state, text, now=now):
            self._ledger.event(Event(time=now, kind="check.changed", message=text, state=state, check=METRICS_CHECK))


def _listen(address: Address) -> socket.socket:
    listener = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for the connections of the last run to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _give_back() -> None:
    """Let the C library return what a scrape took: in a thread it has a heap of its own, and keeps all of it."""
    with contextlib.suppress(AttributeError):  # there are others than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _folders(name: str, options: CheckOptions) -> Sequence[str]:
    """Where a check of the kind `textfile` looks for files, whose series are shown as they are."""
    folders: Sequence[str] = getattr(options, "folders", ()) if (options.type or name) == "textfile" else ()
    return folders
