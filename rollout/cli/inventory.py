"""An inventory, as a process of its own reads it: this one stays free of what pyinfra loads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from kit.errors import ConfigurationError, HostwardError
from kit.units import format_duration
from rollout.child import Engine, WaveError
from rollout.protocol import Described, Message, Order, Planned, Refused
from rollout.protocol import Ended as HostEnded

READING = 120.0
"""Seconds in which an inventory has to be read, by whatever program or home it asks. A wave gives it as many."""
TICK = 1.0


class _LateError(Exception):
    """The process did not come to its end within its time."""


def described(engine: Engine, order: Order, log: Path) -> list[Described]:
    """The hosts of the inventory, in its order. Raises ConfigurationError."""
    found: list[Described] = []

    def hear(message: Message) -> None:
        if isinstance(message, Described):
            found.append(message)

    try:
        died = _heard(engine, order, log, READING, hear)
    except _LateError:
        raise ConfigurationError(
            f"the inventory {order.inventory} was not read within {format_duration(READING)}: what it asks does not "
            "answer; nothing was done"
        ) from None
    if died:
        raise HostwardError(f"the inventory cannot be read: {died}")
    if not found:
        raise ConfigurationError(f"{order.inventory} has no hosts")
    return found


def dry(engine: Engine, order: Order, log: Path) -> tuple[list[Planned], list[HostEnded]]:
    """What the deploy would change, and how each host was left by the asking. Raises ConfigurationError."""
    planned: list[Planned] = []
    ended: list[HostEnded] = []

    def hear(message: Message) -> None:
        if isinstance(message, Planned):
            planned.append(message)
        elif isinstance(message, HostEnded):
            ended.append(message)

    turns = math.ceil(len(order.hosts) / order.parallel) if order.parallel else 1
    limit = READING + order.timeout * turns
    try:
        died = _heard(engine, order, log, limit, hear)
    except _LateError:
        said = f"what would change was not known within {format_duration(limit)}; nothing was done"
        raise HostwardError(said) from None
    if died:
        raise HostwardError(died)
    return planned, ended


def _heard(engine: Engine, order: Order, log: Path, limit: float, hear: Callable[[Message], None]) -> str | None:
    """Have an order carried out. Returns why its process died, where it did.

    Raises _LateError after `limit` seconds, ConfigurationError when it is refused.
    """
    end = time.monotonic() + limit
    try:
        with engine.wave(order, log) as process:
            for message in process.messages(tick=min(TICK, limit)):
                if isinstance(message, Refused):
                    raise ConfigurationError(message.message)
                if message is not None:
                    hear(message)
                if time.monotonic() > end:
                    raise _LateError
            return process.died()
    except WaveError as error:
        raise HostwardError(str(error)) from None
