"""What the runner tells whoever watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rollout.events import Event
from rollout.rules.state import State


class Show(Protocol):
    """One way to watch."""

    def event(self, event: Event, state: State) -> None:
        """Something happened, and `state` is what it led to."""
        ...

    def phase(self, host: str, text: str) -> None:
        """What a host is doing now."""
        ...

    def result(self, host: str, data: Mapping[str, object], lines: Sequence[str]) -> None:
        """What a deploy that asks has found out; `lines` are the same for people."""
        ...

    def gate(self, closed: Mapping[str, str]) -> None:
        """Hosts for which the gate is still closed, and why."""
        ...

    def say(self, text: str) -> None:
        """A sentence of the runner's."""
        ...

    def tick(self) -> None:
        """Time passes."""
        ...

    def end(self) -> None:
        """Nothing more is told."""
        ...
