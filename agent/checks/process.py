"""Processes by name, command line or pid file: how many there are, their memory, CPU time and restarts.

/proc is walked only when it must be: at first, when a process that was known is gone, and now and then (`rescan`).
In between only the known processes are looked at, each by one small file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Floor,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.patterns import check_pattern
from agent.paths import System
from kit.units import Duration, format_duration, format_size

COMM_LENGTH = 15
"""The kernel keeps so much of a name (TASK_COMM_LEN - 1)."""
MOST_RESTARTS = 1000
"""That are remembered one by one."""
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ProcessOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Processes that must run. Exactly one of `name`, `pattern` and `pidfile` says which."""

    name: Annotated[
        str,
        msgspec.Meta(
            description="The program's name as `ps -e` shows it; of a longer one the first 15 characters count.",
            examples=["nginx"],
        ),
    ] = ""
    pattern: Annotated[
        str,
        msgspec.Meta(
            description="A regular expression that must be found in the command line, its words joined by spaces.",
            examples=["^/usr/bin/python3 .*worker"],
        ),
    ] = ""
    pidfile: Annotated[
        str, msgspec.Meta(description="A file that holds the process's number.", examples=["/run/nginx.pid"])
    ] = ""
    too_few: Annotated[
        Floor, msgspec.Meta(description="Bounds of the number of processes: from these values on downwards.")
    ] = Floor(critical=0)
    too_many: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the number of processes: from these values on upwards.", examples=[{"warning": 20}]
        ),
    ] = Threshold()
    memory: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the resident memory of all of them together, in bytes.",
            examples=[{"warning": 1_000_000_000}],
        ),
    ] = Threshold()
    cpu: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the CPU time of all of them together, in percent of one CPU."),
    ] = Threshold()
    restarts: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the restarts within `restart_window`.", examples=[{"warning": 3}]),
    ] = Threshold()
    restart_window: Annotated[
        Duration,
        msgspec.Meta(
            description="How far back restarts count. A restart is a process that is gone and another in its place.",
            examples=["10m"],
            extra={"minimum": Duration(1)},
        ),
    ] = Duration(3600)
    rescan: Annotated[
        Duration,
        msgspec.Meta(
            description="How often all processes are gone through for new ones, besides when a known one is gone.",
            examples=["5m"],
            extra={"minimum": Duration(1)},
        ),
    ] = Duration(60)

    def __post_init__(self) -> None:
        if sum(map(bool, (self.name, self.pattern, self.pidfile))) != 1:
            raise ValueError("needs exactly one of name, pattern and pidfile")
        check_pattern("pattern", self.pattern)


class ProcessMemory(msgspec.Struct, array_like=True):
    """What one run leaves to the next."""

    known: dict[str, tuple[int, int]]
    """Process number to its start (which tells it from a later one of that number) and its CPU time, in ticks."""
    age: float
    """Seconds since all processes were gone through."""
    time: float = 0
    """Seconds since the epoch."""
    gone: list[float] = []
    """How many seconds ago processes went that have nobody in their place yet, the latest last."""
    restarts: list[float] = []
    """How many seconds ago others took the place of such."""
    total: int = 0
    """Restarts since they are counted."""


@dataclass(frozen=True, slots=True)
class Stat:
    """Of /proc/PID/stat, what is needed."""

    name: str
    state: str
    cpu: int
    """Clock ticks, user and system."""
    started: int
    """Clock ticks after the boot."""
    resident: int
    """Pages."""

    @property
    def is_alive(self) -> bool:
        """Zombies and the dead do nothing any more."""
        return self.state not in ("Z", "X", "x")


class Process(Check[ProcessOptions]):
    """Processes of this host."""

    Options = ProcessOptions
    rates = True
    lasting = True

    def __init__(self, options: ProcessOptions) -> None:
        super().__init__(options)
        if options.pattern:
            # Reading a command line takes a lock of the process, and can wait for as long as that one hangs.
            self.runs = "job"

    def rules(self) -> list[Rule]:
        """Number, memory, CPU time, restarts."""
        options = self.options
        return [
            Rule("process_count", options.too_few, "{value} running"),
            Rule("process_count", options.too_many, "{value} running"),
            Rule("process_memory_bytes", options.memory, "{value} of memory used"),
            Rule("process_cpu_percent", options.cpu, "{value} of a CPU used"),
            Rule(
                "process_restarts",
                options.restarts,
                f"{{value}} restarts in {format_duration(options.restart_window)}",
            ),
        ]

    def collect(self, context: Context) -> Sample:
        """Look at those known, or for them."""
        before = _remembered(context.previous)
        elapsed = context.elapsed
        age = before.age + elapsed if before and elapsed is not None else 0.0
        found: dict[int, Stat] | None = None
        if before and elapsed is not None and age < self.options.rescan:
            found = _look_at(context.system, before.known)
        if found is None:
            found = self.look_for(context.system)
            age = 0.0
        memory = sum(stat.resident for stat in found.values()) * PAGE
        measurements = [
            Measurement("process_count", len(found)),
            Measurement("process_memory_bytes", memory, "bytes"),
        ]
        summary = f"{len(found)} running, {format_size(memory)} of memory"
        if before and elapsed:
            used = sum(
                stat.cpu - before.known[str(pid)][1]
                for pid, stat in found.items()
                if str(pid) in before.known and before.known[str(pid)][0] == stat.started
            )
            percent = max(0.0, 100 * used / TICKS_PER_SECOND / elapsed)
            measurements.append(Measurement("process_cpu_percent", percent, "percent"))
            summary += f", {percent:.1f} % of a CPU"
        after = ProcessMemory({str(pid): (stat.started, stat.cpu) for pid, stat in found.items()}, age, context.now)
        if before:
            count_restarts(before, after, elapsed, self.options.restart_window)
        measurements += [
            Measurement("process_restarts", len(after.restarts)),
            Measurement("process_restarts_total", after.total),
        ]
        if after.restarts:
            summary += f", {len(after.restarts)} restarts in {format_duration(self.options.restart_window)}"
        return Sample(measurements, summary=summary, memory=after)

    def look_for(self, system: System) -> dict[int, Stat]:
        """All processes that are meant, but not this one itself."""
        if self.options.pidfile:
            pid = _read_pid(system.path(self.options.pidfile.lstrip("/")))
            stat = _stat(system, pid) if pid else None
            return {pid: stat} if pid and stat and stat.is_alive else {}
        found = {}
        pattern = re.compile(self.options.pattern)
        for pid in _pids(system):
            if pid == os.getpid() or (stat := _stat(system, pid)) is None or not stat.is_alive:
                continue
            if self.options.name:
                meant = stat.name == self.options.name[:COMM_LENGTH]
            else:
                line = _command_line(system, pid)
                meant = bool(line) and pattern.search(line) is not None
            if meant:
                found[pid] = stat
        return found


def parse_stat(text: str) -> Stat:
    """One line of /proc/PID/stat (proc(5)). The name may hold spaces and parentheses. Raises ValueError."""
    _, opened, rest = text.partition("(")
    name, closed, after = rest.rpartition(")")
    fields = after.split()
    if not opened or not closed or len(fields) < 22:
        raise ValueError("not a line of /proc/PID/stat")
    return Stat(name, fields[0], int(fields[11]) + int(fields[12]), int(fields[19]), int(fields[21]))


def count_restarts(before: ProcessMemory, after: ProcessMemory, elapsed: float | None, window: float) -> None:
    """Fill in what `after` remembers of restarts, by the processes known before and after.

    Without `elapsed` the host may have booted meanwhile, and then other processes are no restart.
    """
    passed = max(0.0, after.time - before.time) if elapsed is None else elapsed
    gone, restarts = (
        [age + passed for age in ages if age + passed < window] for ages in (before.gone, before.restarts)
    )
    replaced = 0
    if elapsed is not None:
        gone += [0.0] * sum(not _is_in(after.known, pid, started) for pid, (started, _) in before.known.items())
        came = sum(not _is_in(before.known, pid, started) for pid, (started, _) in after.known.items())
        replaced = min(came, len(gone))
    after.gone = gone[replaced:][-MOST_RESTARTS:]
    after.restarts = [*restarts, *[0.0] * replaced][-MOST_RESTARTS:]
    after.total = before.total + replaced


def _is_in(known: Mapping[str, tuple[int, int]], pid: str, started: int) -> bool:
    return pid in known and known[pid][0] == started


def _remembered(previous: object) -> ProcessMemory | None:
    try:
        return None if previous is None else msgspec.convert(previous, ProcessMemory)
    except msgspec.ValidationError:
        return None


def _look_at(system: System, known: Mapping[str, tuple[int, int]]) -> dict[int, Stat] | None:
    """The known processes, or None where one of them is gone."""
    found = {}
    for pid, (started, _) in known.items():
        stat = _stat(system, int(pid))
        if stat is None or stat.started != started or not stat.is_alive:
            return None
        found[int(pid)] = stat
    return found


def _pids(system: System) -> Iterator[int]:
    with os.scandir(system.path("proc")) as entries:
        for entry in entries:
            if entry.name.isascii() and entry.name.isdigit():
                yield int(entry.name)


def _stat(system: System, pid: int) -> Stat | None:
    try:
        return parse_stat(system.path("proc", str(pid), "stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _command_line(system: System, pid: int) -> str:
    try:
        text = system.path("proc", str(pid), "cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
    return text.rstrip("\0").replace("\0", " ")


def _read_pid(path: os.PathLike[str]) -> int | None:
    """The number in a pid file, None where there is no file. Raises CheckError for what is none."""
    try:
        # Should it be a pipe, opening it must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        text = file.read(64).strip()
    if not re.fullmatch(rb"[1-9][0-9]{0,9}", text):
        raise CheckError(f"{os.fspath(path)} does not hold the number of a process")
    return int(text)
