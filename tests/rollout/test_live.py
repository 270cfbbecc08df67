"""The table on a terminal."""

from __future__ import annotations

import os
import re
import time
from types import SimpleNamespace

import pytest

from rollout.events import Ended, Event, HostBegan, HostEnded, WaveBegan, WaveEnded
from rollout.rules.state import State
from rollout.show.live import Live
from tests.rollout.rules.test_state import started

TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|(\n)|([^\x1b\n]+)")


def lines_of(written: str) -> list[str]:
    """The lines that stand on a terminal after this was written to it."""
    lines, row = [""], 0
    for match in TOKEN.finditer(written):
        count, command, newline, text = match.groups()
        if command == "F":
            row -= int(count)
        elif command == "J":
            del lines[row:]
            lines.append("")
        elif newline:
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] += text
    return [line.rstrip() for line in lines if line]


class Terminal:
    """60 columns and 10 lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._written = ""

    def screen(self) -> list[str]:
        """What stands there."""
        self._written += self._capsys.readouterr().out
        return lines_of(self._written)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """What is written to standard output, at noon."""
    monkeypatch.setattr(
        "rollout.show.live.shutil", SimpleNamespace(get_terminal_size=lambda: os.terminal_size((60, 10)))
    )
    monkeypatch.setattr("rollout.show.live.clock", lambda: "12:00:00")
    monkeypatch.setattr("rollout.show.live.time", SimpleNamespace(time=lambda: 10.0, monotonic=time.monotonic))
    monkeypatch.setattr("rollout.show.live.REDRAWN", 0.0)
    return Terminal(capsys)


def test_hosts_are_drawn_in_place_and_what_is_over_scrolls_away_above(terminal: Terminal) -> None:
    """Each host has a row while its wave runs, of what it does; at the end the lines alone are left."""
    live = Live()
    state = State(started())

    def happened(*events: Event) -> list[str]:
        for event in events:
            state.apply(event)
            live.event(event, state)
        return terminal.screen()

    happened(WaveBegan(time=2.0, wave=0), HostBegan(time=3.0, host="a"), HostEnded(time=4.0, host="a", state="done"))
    happened(WaveEnded(time=5.0, wave=0, ok=True), WaveBegan(time=6.0, wave=1), HostBegan(time=7.0, host="c"))
    live.phase("c", "soak 2 of 5\x1b[2J " + "x" * 100)
    shown = terminal.screen()
    assert shown[:3] == ["12:00:00  canary: 1 host", "12:00:00  a: done, no change", "12:00:00  batch 1: 2 hosts"]
    assert shown[3] == "batch 1 (2 of 2), 1 of 3 hosts done"
    assert re.fullmatch(r"  c  running +3 s soak 2 of 5.*…", shown[4])
    assert shown[5].split() == ["b", "waiting"]
    assert len(shown) == 6
    assert all(len(line) < 60 for line in shown)
    live.gate({"c": "shop is critical"})
    assert "waits: shop is critical" in terminal.screen()[4]
    last = happened(
        HostEnded(time=8.0, host="c", state="failed", message="no", outcome="rolled_back"),
        Ended(time=9.0, state="failed", message="c failed, in batch 1"),
    )
    live.end()
    assert last == terminal.screen()
    assert last[3:] == ["12:00:00  c: failed: no (rolled back)", "12:00:00  failed: c failed, in batch 1"]


def test_more_hosts_than_lines_are_counted(terminal: Terminal) -> None:
    """Those that are worked on come first."""
    hosts = [f"h{number}" for number in range(50)]
    first = started()
    state = State(
        type(first)(**{**{name: getattr(first, name) for name in first.__struct_fields__}, "waves": [("all", hosts)]})
    )
    live = Live()
    for event in (WaveBegan(time=1.0, wave=0), HostBegan(time=2.0, host="h49")):
        state.apply(event)
        live.event(event, state)
    shown = terminal.screen()
    assert len(shown) <= 10
    assert shown[2].split()[:2] == ["h49", "running"]
    assert shown[-1] == "  and 45 more"
