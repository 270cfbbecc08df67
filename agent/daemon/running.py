"""What the state says of the daemon that last ran on it; whether it still does, the lock tells (lock.py)."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from agent.state import State

KEY = "daemon"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon, from its start on."""

    pid: int
    started: float
    """Seconds since the epoch."""
    version: str
    configuration: str
    """The path of the configuration file, which need not exist."""


def encode(running: Running) -> str:
    """The value for KEY."""
    return msgspec.json.encode(running).decode()


def load(state: State) -> Running | None:
    """The daemon that last ran, None where none ever did or what is kept of it is damaged."""
    with suppress(ValueError):
        if (text := state.get(KEY)) is not None:
            return msgspec.json.decode(text, type=Running)
    return None
