"""The agent's version, and what its process takes: under the names that every exporter has for that."""

from __future__ import annotations

import os
import resource
import sys

from agent.metrics.family import Family, counter, gauge
from agent.metrics.files import entries, text
from agent.metrics.told import Told


def collect(told: Told) -> list[Family]:
    """/proc/self of the process that asks (proc(5))."""
    build = gauge("hostward_build_info", "A metric with a constant '1' value labeled by the versions of the agent.")
    build.add(1, version=told.version, python=".".join(map(str, sys.version_info[:3])))
    proc = told.system.path("proc")
    # The name of the program, in brackets, may hold spaces and brackets.
    fields = text(proc / "self" / "stat").rpartition(")")[2].split()
    ticks, hertz = [int(fields[i]) for i in (11, 12)], os.sysconf("SC_CLK_TCK")
    boot = next(int(line.split()[1]) for line in text(proc / "stat").splitlines() if line.startswith("btime "))
    return [
        build,
        counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", sum(ticks) / hertz),
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            boot + int(fields[19]) / hertz,
        ),
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", int(fields[20])),
        gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        ),
        gauge("process_open_fds", "Number of open file descriptors.", len(entries(proc / "self" / "fd"))),
        gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        ),
    ]
