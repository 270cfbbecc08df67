"""The agent's log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from agent.daemon import log
from agent.daemon.log import Repeats

SAY = (
    "import logging; from agent.daemon import log; log.set_up();"
    "logging.info('one'); logging.warning('two\\nlines'); logging.error('three')"
)


def record(level: int, message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("agent", level, "file", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_a_problem_is_said_once_an_hour() -> None:
    """Warnings and errors that repeat are dropped; information and events are not."""
    repeats = Repeats()
    assert [repeats.filter(record(logging.WARNING, "full")) for _ in range(3)] == [True, False, False]
    assert repeats.filter(record(logging.WARNING, "other"))
    assert all(repeats.filter(record(logging.INFO, "fine")) for _ in range(3))
    assert all(repeats.filter(record(logging.WARNING, "full", event=object())) for _ in range(3))


def test_it_is_said_again_when_the_hour_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem that lasts is not forgotten."""
    now = [1000.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    repeats = Repeats()
    assert repeats.filter(record(logging.ERROR, "full"))
    now[0] += log.REPEAT - 1
    assert not repeats.filter(record(logging.ERROR, "full"))
    now[0] += 1
    assert repeats.filter(record(logging.ERROR, "full"))


def test_what_is_remembered_is_bounded() -> None:
    """Messages that are all different do not fill the memory, and all go out."""
    repeats = Repeats()
    assert all(repeats.filter(record(logging.ERROR, f"number {n}")) for n in range(10 * log.REMEMBERED))
    assert len(repeats._said) <= log.REMEMBERED


def test_journald_gets_its_levels_and_a_person_gets_times() -> None:
    """The prefixes of sd-daemon(3) on each line, but only where journald reads them."""
    reader, writer = os.pipe()
    found = os.fstat(writer)
    journal = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    subprocess.run([sys.executable, "-c", SAY], stderr=writer, env={**os.environ, **journal}, check=True)
    os.close(writer)
    with open(reader) as file:
        assert file.read() == "<6>one\n<4>two\n<4>lines\n<3>three\n"
    done = subprocess.run(
        [sys.executable, "-c", SAY], capture_output=True, text=True, env={**os.environ, **journal}, check=True
    )
    assert "INFO one" in done.stderr
    assert "<6>" not in done.stderr
