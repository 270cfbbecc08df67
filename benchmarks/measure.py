"""One run of a program as a whole: time, processor time, and the memory of all its processes at its peak."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE = 0.02
"""Seconds between looks at the memory; each look costs some 0.3 ms a process."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run took."""

    seconds: float
    cpu: float
    """Seconds of all its processes."""
    pss: int
    """Bytes at the peak, summed over its processes, pages that they share counted once; 0 if it was not looked at."""


def measure(command: Sequence[object], variables: Mapping[str, str], log: Path, *, memory: bool = False) -> Run:
    """Run to the end. Raises RuntimeError with the end of its output if it fails.

    Looking at the memory takes time from the program, so a run is for one or the other.
    """
    with log.open("wb") as output:
        before = _spent()
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), env=dict(variables), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        peak = _Peak(process.pid) if memory else None
        code = process.wait()
        seconds = time.perf_counter() - began
        after = _spent()
    if code != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {code}:\n{log.read_text()[-2000:]}")
    return Run(seconds, after - before, peak.stop() if peak else 0)


def _spent() -> float:
    """Seconds of processor that ended children have taken."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


class _Peak:
    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._bytes

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE):
            try:
                root = psutil.Process(self._pid)
                members = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            total = 0
            for member in members:
                try:
                    total += member.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self._bytes = max(self._bytes, total)
