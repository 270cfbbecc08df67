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

from agent.logs.rotate.apply import files, operations
from agent.logs.rotate.apply.folders import Folder
from tests.faults.logs import writer
from tests.faults.logs.ground import Place, Way, unpacked, wait_until
from tests.faults.logs.trial import Trials
from tests.require import require

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
    (place.logs / "app.log").unlink(missing_ok=True)
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


def ended(place: Place, process: subprocess.Popen[bytes]) -> int:
    """How many lines it wrote, after some more."""
    grown(place)
    (place.top / "ready").unlink()
    process.send_signal(signal.SIGTERM)
    wait_until((place.top / "ready").exists)
    return int((place.top / "ready").read_text())


def numbers_in(logs: list[Path]) -> list[int]:
    """Of the lines in them. Fails where one is torn."""
    text = b"".join(map(unpacked, logs))
    found = re.findall(rb"(?m)^line (\d{6})$", text)
    assert len(text.splitlines()) == len(found), "a line is torn"
    return [int(number) for number in found]


def rotated(trials: Trials, way: str) -> tuple[list[int], int]:
    """The numbers of the lines that are in all files, the oldest first, and how many were written."""
    with trials.of(WAYS).trial(way) as trial:
        place = trial.place
        with writing(place) as process:
            for _ in range(ROTATIONS):
                grown(place)
                outcome = trial.run(words=("-f",))
                assert outcome.code == 0, outcome.said
            count = ended(place, process)
        found = sorted(place.files(), key=age)
        assert len(found) == ROTATIONS + 1
        return numbers_in(found), count


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


def collapses(folder: Path) -> bool:
    """Whether the file system there can take blocks out of a file."""
    path = folder / "probe"
    path.write_bytes(bytes(1 << 20))
    with path.open("r+b") as file:
        try:
            operations.collapse(file.fileno(), os.fstatvfs(file.fileno()).f_bsize)
        except OSError:
            return False
        finally:
            path.unlink()
    return True


@contextmanager
def of_blocks(place: Path) -> Iterator[Path]:
    """A folder in a file system that takes blocks out of files: below `place`, or one of its own there."""
    if collapses(place):
        yield place
        return
    image, folder = place / "image", place / "ext4"
    image.touch()
    os.truncate(image, 64 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(folder)]).returncode == 0
    require(mounted, "a file system that takes blocks out of files, as ext4 and XFS do, or a loop device for one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_log_of_which_the_tail_is_kept(place: Path) -> None:
    """What was copied is taken out of it while its program writes on: each line is there once."""
    with of_blocks(place) as folder:
        keep_the_tail(folder)


def keep_the_tail(place: Path) -> None:
    here = Place(place, place / "far", Way(""))
    here.logs.mkdir()
    with writing(here) as process:
        for turn in range(ROTATIONS):
            wait_until(lambda: (here.logs / "app.log").stat().st_size > 50_000)
            take(here.logs, f"app.log.{ROTATIONS - turn}")
        count = ended(here, process)
    assert numbers_in(sorted(here.files(), key=age)) == list(range(count))


def take(logs: Path, name: str) -> None:
    """Rotate as rules of ours with `copytruncate` do."""
    folder = Folder(str(logs))
    log, status = files.open_same(folder, "app.log", 0, flags=os.O_RDWR)
    files.write_copy(log, status, folder, name)
    (logs / files.temporary(name)).rename(logs / name)
    copy, _ = files.open_same(folder, name, 0, flags=os.O_RDWR)
    try:
        assert files.empty_copied(log, copy, keep_tail=True) is None
    finally:
        os.close(copy)
        os.close(log)
        folder.close()
