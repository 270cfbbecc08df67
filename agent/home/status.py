"""How reporting stands, kept in the state so that `hostward status` can tell it from another process."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from agent.state import State

KEY = "home.status"


class HomeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender did last. Times are seconds since the epoch, None for never."""

    last_acknowledged: float | None = None
    error: str | None = None
    """Why the last attempt failed, one sentence; None when it did not."""
    error_since: float | None = None
    """When the attempts began to fail."""
    next_attempt: float | None = None
    """When the next attempt is due; None while there is nothing to wait for."""


def load(state: State) -> HomeStatus:
    """The status as it was last saved; an empty one where it is damaged."""
    with suppress(ValueError):
        if (text := state.get(KEY)) is not None:
            return msgspec.json.decode(text, type=HomeStatus)
    return HomeStatus()


def save(state: State, status: HomeStatus) -> None:
    """Keep it. Inside a transaction."""
    state.put(KEY, msgspec.json.encode(status).decode())
