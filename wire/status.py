"""What `hostward status --json` says on a host (docs/agent.md), as far as deploys and rollouts go by it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from wire.report import State

ONCE = "config"
"""A check that runs when the agent reads its configuration, and not again."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the agent."""

    name: str
    state: State
    message: str = ""
    time: float = 0.0
    """When it ran last: seconds since the epoch by the host's clock, as every time here."""


class Agent(msgspec.Struct, frozen=True):
    """The agent's process."""

    running: bool
    version: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    time: float
    """Now, on the host."""
    agent: Agent
    problem: str | None = None
    """What is amiss with the agent itself."""
    checks: tuple[Check, ...]

    @property
    def states(self) -> dict[str, State]:
        """Check to state."""
        return {check.name: check.state for check in self.checks}


def unseen(checks: Iterable[Check], since: float, limit: float) -> list[str]:
    """The checks whose results are of before `since`, and that may be expected to run within `limit` seconds.

    A check that did not run for longer than `limit` before `since` runs more rarely. By name.
    """
    return sorted(check.name for check in checks if check.name != ONCE and since - limit <= check.time <= since)
