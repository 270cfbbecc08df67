"""A voice for the engine that keeps what went wrong, for whoever tells people."""

from __future__ import annotations

from agent.logs.rotate.say import ERROR, Voice


class Ear(Voice):
    """Keeps errors in `errors`, and passes everything else on."""

    def __init__(self, voice: Voice | None = None) -> None:
        super().__init__(verbose=voice is not None and voice.wordy)
        self._voice = voice
        self.errors: list[str] = []

    def _say(self, level: int, text: str) -> None:
        if level <= ERROR:
            self.errors.append(text.strip().removeprefix("error: "))
        elif self._voice is not None:
            self._voice._say(level, text)
