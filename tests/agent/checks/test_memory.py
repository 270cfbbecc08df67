"""Memory in use, and swap."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from agent.checks.contract import CheckError
from agent.checks.memory import Memory, MemoryOptions
from agent.paths import System
from tests.agent.checks.tree import collect, tree, values

MEMINFO = """\
MemTotal:        8000000 kB
MemFree:          500000 kB
MemAvailable:    2000000 kB
Buffers:          100000 kB
Cached:          1600000 kB
SwapCached:            0 kB
Active:          4000000 kB
Inactive:        1000000 kB
SwapTotal:       1000000 kB
SwapFree:         750000 kB
Shmem:             10000 kB
Slab:             200000 kB
SReclaimable:     100000 kB
"""
VMSTAT = "pswpin 0\npswpout 0\n"


def test_used_is_what_programs_cannot_get(tmp_path: Path) -> None:
    """The total less MemAvailable, whatever is in caches."""
    sample = collect(Memory(MemoryOptions()), tree(tmp_path, {"proc/meminfo": MEMINFO, "proc/vmstat": VMSTAT}))
    assert values(sample) == {
        "memory_total_bytes": 8_000_000 * 1024,
        "memory_used_bytes": 6_000_000 * 1024,
        "memory_available_bytes": 2_000_000 * 1024,
        "memory_used_percent": 75,
        "swap_used_bytes": 250_000 * 1024,
        "swap_used_percent": 25,
    }
    assert sample.summary == "5.7GiB of 7.6GiB used (75 %)"


def test_a_host_without_swap_has_no_readings_of_it(tmp_path: Path) -> None:
    """No swap is not swap of which 0 % is used."""
    meminfo = MEMINFO.replace("1000000 kB\nSwapFree:         750000", "0 kB\nSwapFree:         0")
    sample = collect(Memory(MemoryOptions()), tree(tmp_path, {"proc/meminfo": meminfo, "proc/vmstat": VMSTAT}))
    assert not [name for name in values(sample) if name.startswith("swap")]


def test_no_memory_at_all_is_an_error(tmp_path: Path) -> None:
    """Nothing is divided by zero."""
    system = tree(tmp_path, {"proc/meminfo": MEMINFO.replace("8000000", "0"), "proc/vmstat": VMSTAT})
    with pytest.raises(CheckError, match="there is no memory"):
        collect(Memory(MemoryOptions()), system)


def test_on_this_host() -> None:
    """The total is what the system itself says."""
    assert isinstance(Memory.default(System()), MemoryOptions)
    found = values(collect(Memory(MemoryOptions())))
    assert found["memory_total_bytes"] == psutil.virtual_memory().total
    assert 0 < found["memory_used_percent"] < 100
