"""Programs that go on writing while their logs are rotated, checked line by line."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.logs import writer
from tests.faults.logs.ground import Place, Way, unpacked, wait_until
from tests.faults.logs.trial import Trials

ROTATIONS = 4
_REOPEN = "postrotate\nkill -HUP $(cat {top}/pid)\nendscript\n"

WAYS = {
    "rename": Way(f"rotate 50\nnocreate\n{_REOPEN}", older=()),
    "create": Way(f"rotate 50\ncreate\n{_REOPEN}", older=()),
    "delaycompress": Way(f"rotate 50\ncompress\ndelaycompress\ncreate\n{_REOPEN}", older=()),
    "dates": Way(f"rotate 50\ndateext\ndateformat -%Y%m%d-%s\ncompress\ndelaycompress\ncreate\n{_REOPEN}", older=()),
    "copytruncate": Way("rotate 50\ncopytruncate\n", older=()),
}


@contextmanager
def writing(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A program that writes to the log of a place. Afterwards it has ended."""
    (place.logs / "app.log").unlink()
    ready = place.top / "ready"
    command = [sys.executable, writer.__file__, str(place.logs / "app.log"), str(ready)]
    with subprocess.Popen(command) as process:
        (place.top / "pid").write_text(f"{process.pid}\n")
        try:
            wait_until(ready.exists)
            yield process
        finally:
            process.kill()


def grown(place: Place) -> None:
    """Wait for some more lines in the log."""
    log = place.logs / "app.log"
    wait_until(lambda: log.exists() and log.stat().st_size > 3000)


def rotated(trials: Trials, way: str) -> tuple[list[int], int]:
    """The numbers of the lines that are in all files, the oldest first, and how many were written."""
    with trials.of(WAYS).trial(way) as trial:
        place = trial.place
        with writing(place) as process:
            for _ in range(ROTATIONS):
                grown(place)
                outcome = trial.run(words=("-f",))
                assert outcome.code == 0, outcome.said
            grown(place)
            (place.top / "ready").unlink()
            process.send_signal(signal.SIGTERM)
            wait_until((place.top / "ready").exists)
            count = int((place.top / "ready").read_text())
        files = sorted(place.files(), key=age)
        assert len(files) == ROTATIONS + 1
        text = b"".join(map(unpacked, files))
        found = re.findall(rb"(?m)^line (\d{6})$", text)
        assert len(text.splitlines()) == len(found), "a line is torn"
        return [int(number) for number in found], count


def age(path: Path) -> tuple[int, str]:
    """To sort rotated logs by, the oldest first."""
    name = path.name.removesuffix(".gz")
    if name == "app.log":
        return 1, ""
    number = name.removeprefix("app.log")
    return 0, number if number.startswith("-") else f"{1000 - int(number[1:])}"


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copytruncate"])
def test_a_program_that_opens_its_log_anew(trials: Trials, way: str) -> None:
    """Each line is there once, in the order in which they were written."""
    numbers, count = rotated(trials, way)
    assert numbers == list(range(count))


def test_a_program_that_never_does(trials: Trials) -> None:
    """With copytruncate a line is never doubled or torn, nor out of order; some may be lost between the last look at
    the log and its truncation, in one place each time."""
    numbers, count = rotated(trials, "copytruncate")
    assert numbers == sorted(set(numbers))
    gaps = sum(later != number + 1 for number, later in itertools.pairwise(numbers))
    assert gaps <= ROTATIONS
    assert numbers[0] == 0 and numbers[-1] == count - 1


def more(text: str) -> None:
    """What a program writes to a log: a path and a text."""
    path, _, line = text.partition("|")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)
