"""The wave's hosts and what they are doing, drawn anew in place; what is over scrolls away above."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence

from kit.terminal import bounded, clean, paint
from rollout.events import Ended, Event, HostEnded, WaveBegan
from rollout.rules.state import State
from rollout.show.output import put
from rollout.show.words import COLOURS, clock, count, told

REDRAWN = 0.2
"""Seconds between two drawings."""


class Live:
    """A table at the bottom of the terminal."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._wave: int | None = None
        self._phases: dict[str, str] = {}
        self._lines = 0
        self._drawn = 0.0

    def event(self, event: Event, state: State) -> None:
        """What is over becomes a line; the rest is in the table."""
        self._state = state
        if isinstance(event, WaveBegan):
            self._wave = event.wave
        if isinstance(event, HostEnded):
            self._phases.pop(event.host, None)
        if isinstance(event, Ended):
            self._wave = None
        if isinstance(event, (HostEnded, Ended, WaveBegan)) and (text := told(event, state)):
            self.say(text)
        else:
            self._draw()

    def phase(self, host: str, text: str) -> None:
        """In the host's row."""
        self._phases[host] = text
        self._draw()

    def result(self, host: str, data: Mapping[str, object], lines: Sequence[str]) -> None:
        """Above the table."""
        for line in lines:
            self.say(f"{host}: {clean(line)}")

    def gate(self, closed: Mapping[str, str]) -> None:
        """In the hosts' rows."""
        for host in list(self._phases):
            self._phases.pop(host)
        self._phases.update({host: f"waits: {reason}" for host, reason in closed.items()})
        self._draw()

    def say(self, text: str) -> None:
        """Above the table."""
        put(f"{self._cleared()}{clock()}  {text}\n")
        self._draw(now=True)

    def tick(self) -> None:
        """Let seconds pass in the table."""
        self._draw()

    def end(self) -> None:
        """The table is gone."""
        put(self._cleared())

    def _cleared(self) -> str:
        """What takes the table away."""
        lines, self._lines = self._lines, 0
        return f"\x1b[{lines}F\x1b[J" if lines else ""

    def _draw(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if self._state is None or self._wave is None or (not now and moment - self._drawn < REDRAWN):
            return
        self._drawn = moment
        size = shutil.get_terminal_size()
        lines = self._table(self._state, self._wave, size.columns - 1, max(3, size.lines - 3))
        put(self._cleared() + "".join(f"{line}\n" for line in lines))
        self._lines = len(lines)

    def _table(self, state: State, wave: int, columns: int, rows: int) -> list[str]:
        """Its lines; hosts that run before those that wait, where not all have room."""
        done = sum(host.state == "done" for host in state.hosts.values())
        failed = len(state.failures())
        head = f"{state.waves[wave].name} ({wave + 1} of {len(state.waves)}), "
        head += f"{done} of {count(len(state.hosts), 'host')} done"
        lines = [bounded(head + (f", {failed} failed" if failed else ""), columns)]
        order = {"running": 0, "failed": 1, "unreachable": 1, "waiting": 2, "done": 3}
        hosts = sorted(state.waves[wave].hosts, key=lambda name: order.get(state.hosts[name].state, 2))
        width = min(max(len(host) for host in hosts), columns // 3)
        shown = hosts if len(hosts) < rows else hosts[: rows - 2]
        for host in shown:
            record = state.hosts[host]
            text = self._phases.get(host, record.message)
            took = (
                f"{time.time() - record.started:4.0f} s" if record.state == "running" and record.started else " " * 6
            )
            rest = bounded(text, max(1, columns - width - 23))
            word = paint(f"{record.state:<11}", COLOURS.get(record.state, ""))
            lines.append(f"  {bounded(host, width):<{width}}  {word} {took} {rest}")
        if len(shown) < len(hosts):
            lines.append(f"  and {len(hosts) - len(shown)} more")
        return lines
