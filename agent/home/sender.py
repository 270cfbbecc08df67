"""Delivers the spool: one thread, in order, one report at a time, until home has each of them for good."""

from __future__ import annotations

import logging
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing

from msgspec import structs

from agent.home import backoff, status
from agent.home.identity import Identity
from agent.home.reaction import Delivered, Later, Refused, SignAgain, Verdict, judge
from agent.home.spool import Spool, Spooled
from agent.home.status import HomeStatus
from agent.home.transport import Answer, KeptConnectionError, Transport, TransportError
from agent.state import State, StateError
from wire import protocol, signature
from wire.report import MaintenanceWindow, Reply

log = logging.getLogger(__name__)


class Sender:
    """The thread that sends. All that it does is durable at home or still in the spool: it can be left behind."""

    def __init__(
        self,
        state: State,
        identity: Identity,
        *,
        timeout: float,
        clock: Callable[[], float] = time.time,
        uniform: backoff.Uniform = random.uniform,
    ) -> None:
        """`timeout` is seconds for one request, all of it. Raises TransportError when the CA cannot be used."""
        self._state = state
        self._identity = identity
        self._key = signature.load_private_key(identity.key)
        self._transport = Transport(identity.collector, identity.ca, timeout=timeout)
        self._clock = clock
        self._uniform = uniform
        self._offset = 0.0
        self._failures = 0
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._stop_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self.wanted_interval: float | None = None
        """Seconds between reports that home asked for last, None while it leaves that to the agent."""

    def start(self) -> None:
        """Begin to deliver what waits."""
        self._thread.start()

    def wake(self) -> None:
        """There is a new report. A wait after a failure is not cut short by it."""
        self._work.set()

    def stop(self, timeout: float) -> bool:
        """Deliver what waits for as long as that goes well, `timeout` seconds at most; False when it was cut off."""
        self._stop_at = time.monotonic() + timeout
        self._stopping.set()
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                with closing(self._state.sibling()) as state:
                    self._deliver(state)
            except (StateError, sqlite3.Error) as error:
                log.warning("reports are not being sent: %s", error)
            except Exception:
                # A mistake in here must not silence the host for good.
                log.exception("reports are not being sent")
            if self._stopping.is_set():
                self._transport.close()
                return
            self._failures += 1
            self._stopping.wait(backoff.delay(self._failures, uniform=self._uniform))

    def _deliver(self, state: State) -> None:
        """Until it is time to stop."""
        spool = Spool(state)
        while True:
            self._work.clear()
            head = spool.head()
            if head is not None:
                verdict = self._attempt(head)
                wait = self._conclude(state, spool, head, verdict)
                if wait is not None:
                    self._stopping.wait(wait)
                    if self._stopping.is_set():
                        return
            elif self._stopping.is_set():
                return
            else:
                self._work.wait()
            if time.monotonic() >= self._stop_at:
                return

    def _attempt(self, report: Spooled) -> Verdict:
        """Send the report, and once more at once where only the signature was at fault."""
        verdict = self._send(report)
        if isinstance(verdict, SignAgain):
            if verdict.time is not None:
                self._offset = verdict.time - self._clock()
            verdict = self._send(report)
        if isinstance(verdict, SignAgain):
            return Later(verdict.message)
        return verdict

    def _send(self, report: Spooled) -> Verdict:
        try:
            try:
                answer = self._post(report)
            except KeptConnectionError:
                answer = self._post(report)
        except TransportError as error:
            return Later(str(error))
        return judge(answer.status, answer.body, answer.retry_after, now=self._clock())

    def _post(self, report: Spooled) -> Answer:
        signed = signature.sign(
            self._key,
            "POST",
            protocol.REPORTS,
            report.body,
            created=max(0, round(self._clock() + self._offset)),
            nonce=secrets.token_urlsafe(18),
            key_id=self._identity.host,
        )
        headers = {"Content-Type": protocol.REPORT_TYPE, "Content-Encoding": protocol.REPORT_ENCODING, **signed}
        left = max(0.0, self._stop_at - time.monotonic())
        return self._transport.post(protocol.REPORTS, report.body, headers, timeout=left)

    def _window(self, reply: Reply) -> MaintenanceWindow | None:
        """The window that is in force, by this host's clock instead of home's."""
        if reply.window is None:
            return None
        return structs.replace(reply.window, until=max(0.0, reply.window.until - self._offset))

    def _conclude(self, state: State, spool: Spool, report: Spooled, verdict: Verdict) -> float | None:
        """Record what came of an attempt; seconds to wait before the next one, or None."""
        now = self._clock()
        if isinstance(verdict, Delivered):
            self._offset = verdict.reply.time - now
            self.wanted_interval = verdict.reply.interval
            with state.transaction():
                spool.acknowledge(report.sequence)
                status.save(state, HomeStatus(last_acknowledged=now, window=self._window(verdict.reply)))
            if self._failures:
                log.info("the collector takes reports again")
            self._failures = 0
            return None
        before = status.load(state)
        if isinstance(verdict, Refused):
            log.warning("a report is lost: %s", verdict.message)
            with state.transaction():
                spool.refuse(report.sequence)
                status.save(state, structs.replace(before, error=verdict.message, error_since=now, next_attempt=None))
            self._failures = 0
            return None
        assert isinstance(verdict, Later)
        self._failures += 1
        if verdict.slowly:
            wait = backoff.slow_delay(uniform=self._uniform)
        elif verdict.after is not None:
            wait = backoff.asked_delay(verdict.after, self._failures, uniform=self._uniform)
        else:
            wait = backoff.delay(self._failures, uniform=self._uniform)
        log.warning("reports wait: %s", verdict.message)
        since = now if self._failures == 1 or before.error_since is None else before.error_since
        with state.transaction():
            status.save(
                state,
                structs.replace(before, error=verdict.message, error_since=since, next_attempt=now + wait),
            )
        return wait
