"""Programs under measurement: started, awaited, weighed and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
"""Where the console scripts are: the virtual environment's own folder, behind no shim."""
START = 30.0
"""Seconds that a program may take to come up."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a process and its descendants take."""

    rss: int
    """Bytes, pages that are shared counted in each process."""
    pss: int
    """Bytes, pages that are shared counted once in all that share them."""
    cpu: float
    """Seconds since the start, with those of children that have ended."""


def environment(folder: Path) -> Mapping[str, str]:
    """Nothing of the person who runs this, apart from where programs are."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LANG": "C.UTF-8"}


def call(folder: Path, *command: object, stdin: str = "") -> str:
    """Run to the end and return the output. Raises CalledProcessError."""
    done = subprocess.run(
        list(map(str, command)),
        input=stdin,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=START,
        env=environment(folder),
    )
    return done.stdout


@contextmanager
def running(folder: Path, *command: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs during the block; its output goes to `NAME.log` in `folder`."""
    with (folder / f"{Path(str(command[0])).name}.log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(folder)
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def weigh(process: subprocess.Popen[bytes]) -> Weight:
    """A process that runs, and all below it. Raises RuntimeError when it has ended."""
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} ended by itself with {process.returncode}")
    root = psutil.Process(process.pid)
    rss = pss = 0
    cpu = 0.0
    for member in (root, *root.children(recursive=True)):
        try:
            memory, times = member.memory_full_info(), member.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its time is its parent's by now
        rss += memory.rss
        pss += memory.pss
        cpu += times.user + times.system + times.children_user + times.children_system
    return Weight(rss, pss, cpu)


@contextmanager
def collector() -> Iterator[tuple[Path, Path]]:
    """A new collector's data folder, not yet served, and a folder for everything else."""
    with tempfile.TemporaryDirectory(prefix="hostward-bench-") as name:
        folder = Path(name)
        call(folder, BIN / "hostward-collector", "init", "--data-dir", folder / "home")
        yield folder / "home", folder


@contextmanager
def serving(home: Path, folder: Path, *options: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A collector's URL and process."""
    command = BIN / "hostward-collector", "serve", "--data-dir", home, "--host", "127.0.0.1", "--port", 0, *options
    with running(folder, *command) as process:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and process.poll() is None:
            for word in (folder / "hostward-collector.log").read_text().split():
                if word.startswith("https://"):
                    yield word, process
                    return
            time.sleep(0.05)
        raise RuntimeError((folder / "hostward-collector.log").read_text() or "the collector did not come up")
