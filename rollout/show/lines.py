"""A line for each event, with its time: for files, pipes and terminals that can no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kit.terminal import clean
from rollout.events import Event
from rollout.rules.state import State
from rollout.show.output import put
from rollout.show.words import clock, told


class Lines:
    """Lines on standard output."""

    def __init__(self) -> None:
        self._phases: dict[str, str] = {}
        self._closed: Mapping[str, str] = {}

    def event(self, event: Event, state: State) -> None:
        """As a line, where it has one."""
        if text := told(event, state):
            self.say(text)

    def phase(self, host: str, text: str) -> None:
        """Once."""
        if self._phases.get(host) != text:
            self._phases[host] = text
            self.say(f"{host}: {clean(text)}")

    def result(self, host: str, data: Mapping[str, object], lines: Sequence[str]) -> None:
        """Line by line."""
        for line in lines:
            self.say(f"{host}: {clean(line)}")

    def gate(self, closed: Mapping[str, str]) -> None:
        """What is new about it."""
        for host, reason in closed.items():
            if self._closed.get(host) != reason:
                self.say(f"{host}: waits: {clean(reason)}")
        self._closed = dict(closed)

    def say(self, text: str) -> None:
        """At once, for who reads along."""
        put(f"{clock()}  {text}\n")

    def tick(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
