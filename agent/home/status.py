"""How reporting stands, kept in the state so that `hostward status` can tell it from another process."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from agent.state import State
from wire.report import MaintenanceWindow

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
    window: MaintenanceWindow | None = None
    """The window of which home spoke last, until when by this host's clock: it ends by itself also while home is
    away."""


def window_in_force(status: HomeStatus, now: float) -> MaintenanceWindow | None:
    """The maintenance window that holds at `now`, by what home said last."""
    return status.window if status.window is not None and now < status.window.until else None


def load(state: State) -> HomeStatus:
    """The status as it was last saved; an empty one where it is damaged."""
    with suppress(ValueError):
        if (text := state.get(KEY)) is not None:
            return msgspec.json.decode(text, type=HomeStatus)
    return HomeStatus()


def save(state: State, status: HomeStatus) -> None:
    """Keep it. Inside a transaction."""
    state.put(KEY, msgspec.json.encode(status).decode())
