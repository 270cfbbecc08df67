"""One host's way through a deploy: connected, prepared, executed. It ends in one `Ended`, whatever happens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
from gevent.lock import BoundedSemaphore
from pyinfra.api.host import Host
from pyinfra.api.operations import run_host_op
from pyinfra.context import ctx_config, ctx_host
from pyinfra_cli.util import exec_file

from deploys.kit import notes
from deploys.kit.permits import Holds
from rollout.engine import sentences
from rollout.engine.line import Line
from rollout.engine.state import HostFailedError, WaveState
from rollout.engine.watch import LostConnectionError
from rollout.protocol import HANDSHAKE, SHAKING, Began, Ended, Order, Outcome, Phase, Planned, Versions

SHAKE = BoundedSemaphore(SHAKING)
"""Held while a host is connected to."""
FAREWELL = 10.0
"""Seconds for what a host's part of a deploy has to tidy up when its time is over."""


class UnreachableError(Exception):
    """The host cannot be connected to; the text says why."""


class OutOfTimeError(BaseException):
    """Thrown into the part of a host whose time is over. No `except Exception` may keep it."""


class Run:
    """One host of the wave."""

    def __init__(self, state: WaveState, host: Host, order: Order, line: Line) -> None:
        self.host = host
        self.watch = state.watch(host, order.silence)
        self.diffs: dict[str, list[str]] = {}
        """By operation, what it logged of what files would become."""
        self._state = state
        self._order = order
        self._line = line
        self._waited = 0.0
        self._waiting_since: float | None = None
        self._at = ""
        self._failed: notes.Failed | None = None
        self._data: dict[str, object] = {}
        self._lines: tuple[str, ...] = ()

    def run(self) -> bool:
        """Do it all, within the order's time. Returns whether it went well."""
        part = gevent.spawn(self._part)
        began = time.monotonic()
        while not part.ready():
            left = began + self._order.timeout + self._waited_in_all() - time.monotonic()
            if left <= 0 and self._waiting_since is None:
                part.kill(OutOfTimeError, block=False)
                part.join(FAREWELL)
                break
            part.join(max(left, 1.0))
        ended = part.value if isinstance(part.value, Ended) else self._out_of_time()
        self._state.ended(self.host)
        self.watch.close()
        self._line.say(ended)
        return ended.state == "done"

    def heard(self, note: notes.Note) -> None:
        """What the deploy tells of this host."""
        name = self.host.name
        match note:
            case notes.Phase(text):
                self._line.say(Phase(host=name, text=text))
            case notes.Versions(before, after):
                self._line.say(Versions(host=name, before=before, after=after))
            case notes.Failed():
                self._failed = note
            case notes.Result(data, lines):
                self._data = notes.joined(self._data, data)
                self._lines += lines

    def printed(self, level: int, text: str) -> None:
        """What pyinfra logged of this host."""
        operation = self.host.current_op_hash
        if self._order.diff and level == logging.INFO and operation is not None:
            self.diffs.setdefault(operation, []).append(text.removeprefix("  "))
        if level >= logging.WARNING and not self.watch.complaint:
            said = sentences.of_printed(text)
            if said:
                self.watch.complaint = said

    @contextmanager
    def leave(self, what: str) -> Iterator[Holds]:
        """Hold leave to do `what`. The time in which it is waited for is not the host's."""
        leave = self._line.leave(self.host.name, what)
        self._waiting_since = time.monotonic()
        try:
            holds = leave.__enter__()
        finally:
            self._waited = self._waited_in_all()
            self._waiting_since = None
        try:
            yield holds
        finally:
            leave.__exit__(None, None, None)

    def _waited_in_all(self) -> float:
        now = 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since
        return self._waited + now

    def _part(self) -> Ended:
        with ctx_host.use(self.host):
            try:
                self._connect()
            except UnreachableError as error:
                return self._ended("unreachable", str(error), "left_alone")
            return self._until(self._prepare) or (
                self._planned() if self._order.task == "dry" else self._until(self._execute)
            ) or self._ended("done")  # fmt: skip

    def _connect(self) -> None:
        """Unless a look has left a connection that still is one."""
        self.watch.complaint = ""
        if self.watch.lost:
            self.host.connected = False
        with SHAKE:
            try:
                with gevent.Timeout(self._order.connect_timeout + HANDSHAKE, TimeoutError("timed out")):
                    self.host.connect(raise_exceptions=True, show_errors=False)
            except Exception as error:  # as in the gate
                raise UnreachableError(sentences.of_connecting(self.host.name, error)) from None
        self._state.activate_host(self.host)
        self._line.say(Began(host=self.host.name))

    def _until(self, step: Callable[[], None]) -> Ended | None:
        """Take a step; where it fails, that is the end."""
        try:
            step()
        except (Exception, SystemExit) as error:
            # A deploy may be any program, and one that exits would end the whole process.
            return self._broke(error)
        return None

    def _prepare(self) -> None:
        with ctx_config.use(self._state.config.copy()):
            exec_file(self._order.deploy)

    def _planned(self) -> Ended:
        changed = 0
        for operation in self.host.op_hash_order:
            data = self._state.ops[self.host].get(operation)
            if data is not None and data.operation_meta.will_change:
                changed += 1
                diff = "\n".join(self.diffs.get(operation, []))
                name = self._state.name(operation)
                self._line.say(Planned(host=self.host.name, operation=name, diff=diff))
        return self._ended("done", changed=changed)

    def _execute(self) -> None:
        self._state.executing.add(self.host)
        # What operations call while they are executed is added there, and was executed at once.
        for operation in list(self.host.op_hash_order):
            if operation not in self._state.ops[self.host]:
                self._state.await_once(self.host, operation)
                continue
            # What a host does need not wait for anything: the others, and what was told, have their turn too.
            gevent.sleep(0)
            with self._state.turn(self.host, operation):
                self._at = self._state.name(operation)
                self._line.say(Phase(host=self.host.name, text=self._at))
                # What an operation before it said is no reason any more: its failure was to be ignored.
                self._failed, self.watch.complaint = None, ""
                well = False
                try:
                    well = run_host_op(self._state, self.host, operation)
                finally:
                    if not well:
                        self._state.failed_at(self.host, operation)
                    self._state.did_once(operation, well)
            if not well:
                raise HostFailedError(f"{self._at} failed: {self.watch.complaint or 'its output says why'}")

    def _broke(self, error: BaseException) -> Ended:
        if self._failed is not None:
            return self._ended("failed", self._failed.reason, self._failed.outcome)
        untouched = self._state.results[self.host].ops == 0 and not self._at
        if isinstance(error, LostConnectionError) or self.watch.lost:
            if untouched:
                return self._ended("unreachable", f"{self.host.name}: {self.watch.complaint}", "left_alone")
            why = self.watch.complaint or "the connection was lost"
            return self._ended("failed", f"{self._at}: {why}; how the host was left is not known")
        # What a deploy raises names the host, and here stands beside its name.
        said = sentences.of(error).removeprefix(f"{self.host.name}: ")
        return self._ended("failed", said, "left_alone" if untouched else None)

    def _out_of_time(self) -> Ended:
        doing = f"during {self._at}" if self._at else "before anything was done"
        message = f"the host was not done within {self._order.timeout:.0f} s; its time was over {doing}"
        if self._failed is not None:
            return self._ended("failed", self._failed.reason, self._failed.outcome)
        return self._ended("failed", message, None if self._at else "left_alone")

    def _ended(
        self, state: str, message: str = "", outcome: Outcome | None = None, changed: int | None = None
    ) -> Ended:
        if changed is None:
            metas = [data.operation_meta for data in self._state.ops[self.host].values() if not data.parent_op_hash]
            changed = sum(meta.is_complete() and meta.did_change() for meta in metas)
        return Ended(
            host=self.host.name,
            state=state,  # type: ignore[arg-type]
            changed=changed,
            message=message,
            outcome=outcome,
            data=self._data,
            lines=self._lines,
        )
