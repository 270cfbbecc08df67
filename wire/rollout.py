"""What the waves' runner tells home of a rollout: the whole record each time, under an id of its own.

All times are seconds since the epoch by the clock of the administrator's machine.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wire import limits
from wire.report import Count, Id, Message, Name, Time, Title, Value

HostState = Literal["waiting", "running", "done", "failed", "unreachable", "skipped"]
Outcome = Literal["left_alone", "rolled_back", "broken"]
"""How a host that failed was left: nothing changed, put back, or in neither state."""
RunState = Literal["running", "paused", "aborted", "failed", "done"]
WaveState = Literal["waiting", "running", "gate", "done", "failed"]

RolloutId = Annotated[Id, Meta(pattern=rf"\A{limits.ID.pattern}\Z")]
MAX_HOSTS = 10_000
MAX_WAVES = 1_000
MAX_PACKAGES = 2_000
"""Packages whose versions are told of one host."""
Packages = Annotated[dict[Value, Value | None], Meta(max_length=MAX_PACKAGES)]
"""Package to version; None for one that is not installed."""


class HostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One host in a rollout."""

    state: HostState
    wave: Count
    started: Time | None = None
    finished: Time | None = None
    changed: Count = 0
    """Operations that changed something."""
    message: Message = ""
    """What it is doing, or why it failed."""
    outcome: Outcome | None = None
    """Of a host that failed."""
    before: Packages = {}
    after: Packages = {}


class WaveRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One wave."""

    name: Name
    state: WaveState
    hosts: Annotated[list[Title], Meta(max_length=MAX_HOSTS)]
    started: Time | None = None
    finished: Time | None = None
    window: Id | None = None
    """The maintenance window at home that was opened for it."""


class RolloutRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as it stands."""

    id: RolloutId
    deploy: Value
    """The deploy's name or file, as it was given."""
    inventory: Value
    who: Value
    """`user@machine`, as the runner sees it; home adds whose token it was."""
    hostward: Id
    """The version of the runner."""
    state: RunState
    started: Time
    finished: Time | None = None
    message: Message = ""
    """Why it paused, failed or was aborted."""
    waves: Annotated[list[WaveRecord], Meta(max_length=MAX_WAVES)]
    hosts: Annotated[dict[Title, HostRecord], Meta(max_length=MAX_HOSTS)]


def misplaced(record: RolloutRecord) -> str | None:
    """A host that does not stand in exactly one wave as one of the rollout's; None where each does."""
    seen: set[str] = set()
    for wave in record.waves:
        for host in wave.hosts:
            if host in seen or host not in record.hosts:
                return host
            seen.add(host)
    return next((host for host in record.hosts if host not in seen), None)
