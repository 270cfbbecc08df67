"""Interrupts, context switches, forks, processes, and when the host was booted."""

from __future__ import annotations

from agent.metrics.family import Family, counter, gauge
from agent.metrics.files import text
from agent.paths import System


def collect(system: System) -> list[Family]:
    """/proc/stat (proc(5))."""
    lines = (line.split() for line in text(system.path("proc", "stat")).splitlines())
    found = {name: int(fields[0]) for name, *fields in lines}
    return [
        counter("node_intr_total", "Total number of interrupts serviced.", found["intr"]),
        counter("node_context_switches_total", "Total number of context switches.", found["ctxt"]),
        counter("node_forks_total", "Total number of forks.", found["processes"]),
        gauge("node_boot_time_seconds", "Node boot time, in unixtime.", found["btime"]),
        gauge("node_procs_running", "Number of processes in runnable state.", found["procs_running"]),
        gauge(
            "node_procs_blocked",
            "Number of processes blocked waiting for I/O to complete.",
            found["procs_blocked"],
        ),
    ]
