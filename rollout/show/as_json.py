"""Each event as an object on a line, in the form of the journal; phases, gates and sentences beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kit.jsontext import json_text
from rollout.events import Event
from rollout.rules.state import State
from rollout.show.output import put


class AsJson:
    """JSON lines on standard output."""

    def event(self, event: Event, state: State) -> None:
        """As the journal has it."""
        self._print(event)

    def phase(self, host: str, text: str) -> None:
        """`{"type": "phase", …}`."""
        self._print({"type": "phase", "host": host, "text": text})

    def result(self, host: str, data: Mapping[str, object], lines: Sequence[str]) -> None:
        """`{"type": "result", …}`."""
        self._print({"type": "result", "host": host, "data": data})

    def gate(self, closed: Mapping[str, str]) -> None:
        """`{"type": "gate", …}`."""
        self._print({"type": "gate", "closed": closed})

    def say(self, text: str) -> None:
        """`{"type": "say", …}`."""
        self._print({"type": "say", "text": text})

    def tick(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def _print(self, what: object) -> None:
        put(json_text(what, indent=False) + "\n")
