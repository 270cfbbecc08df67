"""pyinfra's state, with hosts that go on independently of each other.

pyinfra has all hosts wait for the slowest before they are prepared, before anything is executed, and at each
operation; a host that hangs holds them all up. What of its state says how far *everybody* is says here how far the
host is that asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent.event import AsyncResult
from gevent.local import local
from gevent.lock import BoundedSemaphore
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_host

from rollout.engine.watch import Watch


class HostFailedError(PyinfraError):
    """This host can go no further; the text says why."""


class WaveState(State):
    """The state of one wave."""

    def __init__(self) -> None:
        super().__init__(check_for_changes=False)
        self.watches: dict[Host, Watch] = {}
        self.executing: set[Host] = set()
        self._file = local()
        self._turns: dict[str, BoundedSemaphore] = {}
        self._failed_at: dict[str, Host] = {}
        self._once: dict[str, AsyncResult[bool]] = {}

    def watch(self, host: Host, silence: float) -> Watch:
        """The one of this host; `silence` in seconds, as Watch has it."""
        if host not in self.watches:
            self.watches[host] = Watch(host, silence)
        return self.watches[host]

    @property
    def is_executing(self) -> bool:  # type: ignore[override]
        """Whether the host that asks is past its preparation."""
        return ctx_host.get() in self.executing

    @property
    def current_stage(self) -> StateStage:  # type: ignore[override]
        """Where the host that asks is."""
        return StateStage.Execute if self.is_executing else StateStage.Prepare

    @property
    def current_exec_filename(self) -> str | None:
        """The file that is executed for the host that asks."""
        return getattr(self._file, "name", None)

    @current_exec_filename.setter
    def current_exec_filename(self, name: str | None) -> None:
        self._file.name = name

    def fail_hosts(self, hosts_to_fail: Iterable[Host], activated_count: int | None = None) -> None:
        """Have the host that asks stop here. How many may fail is the runner's to say. Raises HostFailedError."""
        hosts = set(hosts_to_fail)
        self.failed_hosts |= hosts
        self.active_hosts -= hosts
        host = ctx_host.get()
        if host in hosts:
            complaint = self.watches[host].complaint if host in self.watches else ""
            raise HostFailedError(f"the host could not be looked at: {complaint or 'its output says why'}")

    @contextmanager
    def turn(self, host: Host, operation: str) -> Iterator[None]:
        """Wait until the host may start the operation, as its `_serial` or `_parallel` says.

        Raises HostFailedError when another host failed there: it is an operation for few hosts at one time so that
        not all are harmed.
        """
        arguments: dict[str, Any] = dict(self.op_meta[operation].global_arguments)
        places = 1 if arguments.get("_serial") else int(arguments.get("_parallel") or 0)
        if not places:
            yield
            return
        with self._turns.setdefault(operation, BoundedSemaphore(places)):
            if (failed := self._failed_at.get(operation)) is not None:
                raise HostFailedError(f"it did not start {self.name(operation)}, which failed on {failed.name}")
            yield

    def failed_at(self, host: Host, operation: str) -> None:
        """Have nobody start this operation any more, where it is one for few hosts at one time."""
        self._failed_at.setdefault(operation, host)

    def await_once(self, host: Host, operation: str) -> None:
        """Wait for what another host does for all (`_run_once`). Raises HostFailedError when it did not."""
        if not self._done_once(operation).get():
            raise HostFailedError(f"{self.name(operation)}, which one host does for all, was not done")

    def did_once(self, operation: str, well: bool) -> None:
        """Tell those who wait for it."""
        if not self._done_once(operation).ready():
            self._done_once(operation).set(well)

    def ended(self, host: Host) -> None:
        """Nobody waits for this host any more."""
        for operation in self.ops[host]:
            self.did_once(operation, False)

    def name(self, operation: str) -> str:
        """What the operation is called."""
        return ", ".join(sorted(self.op_meta[operation].names)) or "an operation"

    def _done_once(self, operation: str) -> AsyncResult[bool]:
        return self._once.setdefault(operation, AsyncResult())
