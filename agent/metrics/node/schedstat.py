"""What the scheduler counts for each processor."""

from __future__ import annotations

from agent.metrics.family import Family, counter
from agent.metrics.files import NoDataError, text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/schedstat (Documentation/scheduler/sched-stats.rst): the last three numbers of a processor's line."""
    try:
        table = text(system.path("proc", "schedstat"))
    except FileNotFoundError:
        raise NoDataError from None
    running = counter("node_schedstat_running_seconds_total", "Number of seconds CPU spent running a process.")
    waiting = counter(
        "node_schedstat_waiting_seconds_total", "Number of seconds spent by processing waiting for this CPU."
    )
    slices = counter("node_schedstat_timeslices_total", "Number of timeslices executed by CPU.")
    for line in table.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and len(fields) >= 9:
            ran, waited, count = map(int, fields[6:9])
            cpu = name.removeprefix("cpu")
            running.add(ran / 1e9, cpu=cpu)
            waiting.add(waited / 1e9, cpu=cpu)
            slices.add(count, cpu=cpu)
    return [running, waiting, slices]
