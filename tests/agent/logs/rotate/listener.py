"""A voice that keeps what the engine says."""

from __future__ import annotations

from agent.logs.rotate.say import Voice


class Listener(Voice):
    """Has all of it, one after the other."""

    def __init__(self) -> None:
        super().__init__(verbose=True)
        self.said = ""

    def _say(self, level: int, text: str) -> None:
        self.said += text
