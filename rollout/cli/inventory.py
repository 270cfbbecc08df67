"""An inventory, as a process of its own reads it: this one stays free of what pyinfra loads."""

from __future__ import annotations

from pathlib import Path

from kit.errors import ConfigurationError, HostwardError
from rollout.child import Wave, WaveError
from rollout.protocol import Described, Order, Planned, Refused
from rollout.protocol import Ended as HostEnded


def described(order: Order, log: Path) -> list[Described]:
    """The hosts of the inventory, in its order. Raises ConfigurationError."""
    found = []
    try:
        with Wave(order, log) as process:
            for message in process.messages():
                if isinstance(message, Described):
                    found.append(message)
                elif isinstance(message, Refused):
                    raise ConfigurationError(message.message)
            died = process.died()
    except WaveError as error:
        raise HostwardError(str(error)) from None
    if died:
        raise HostwardError(f"the inventory cannot be read: {died}")
    if not found:
        raise ConfigurationError(f"{order.inventory} has no hosts")
    return found


def dry(order: Order, log: Path) -> tuple[list[Planned], list[HostEnded]]:
    """What the deploy would change, and how each host was left by the asking. Raises ConfigurationError."""
    planned, ended = [], []
    try:
        with Wave(order, log) as process:
            for message in process.messages():
                if isinstance(message, Planned):
                    planned.append(message)
                elif isinstance(message, HostEnded):
                    ended.append(message)
                elif isinstance(message, Refused):
                    raise ConfigurationError(message.message)
            died = process.died()
    except WaveError as error:
        raise HostwardError(str(error)) from None
    if died:
        raise HostwardError(died)
    return planned, ended
