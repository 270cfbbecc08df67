"""CPU time between two samples, and the load."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.cpu import Cpu, CpuOptions, used_shares
from agent.paths import System
from tests.agent.checks.tree import collect, tree, values

BEFORE = "cpu  1000 0 500 8000 400 0 50 50 700 0\n"
AFTER = "cpu  1300 0 600 8500 450 0 50 100 900 0\n"
LOAD = "0.52 1.04 2.10 2/345 6789\n"


def test_shares_are_of_the_time_between_two_samples(tmp_path: Path) -> None:
    """1000 ticks passed: 500 idle, 50 waiting, 50 stolen; guests are in user time already."""
    check = Cpu(CpuOptions())
    first = collect(check, tree(tmp_path, {"proc/stat": BEFORE, "proc/loadavg": LOAD}))
    second = collect(check, tree(tmp_path, {"proc/stat": AFTER}), after=first)
    found = values(second)
    assert found["cpu_used_percent"] == pytest.approx(45)
    assert found["cpu_iowait_percent"] == pytest.approx(5)
    assert found["cpu_steal_percent"] == pytest.approx(5)
    assert (found["load_average 1m"], found["load_average 15m"]) == (0.52, 2.10)
    assert second.summary.startswith("45 % used, load 0.52 on ")


def test_the_first_sample_has_no_shares(tmp_path: Path) -> None:
    """Counters since the boot say nothing about now."""
    sample = collect(Cpu(CpuOptions()), tree(tmp_path, {"proc/stat": BEFORE, "proc/loadavg": LOAD}))
    assert set(values(sample)) == {"cpu_count", "load_average 1m", "load_average 5m", "load_average 15m"}


def test_time_that_stood_still_gives_no_shares() -> None:
    """Nothing is divided by zero."""
    times = {"user": 1.0, "idle": 2.0}
    assert used_shares(times, times) == {}


def test_iowait_that_runs_backwards_counts_as_none() -> None:
    """proc(5) warns of it."""
    shares = used_shares({"user": 1, "idle": 1, "iowait": 5}, {"user": 2, "idle": 2, "iowait": 4})
    assert shares == {"used": 50, "iowait": 0, "steal": 0}


times = st.fixed_dictionaries(
    dict.fromkeys(("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest"), st.floats(0, 1e9))
)


@given(times, times)
def test_shares_are_percentages_whatever_the_counters_do(before: dict[str, float], after: dict[str, float]) -> None:
    """Wrapped, reset or odd: never below 0 or above 100."""
    assert all(0 <= share <= 100 for share in used_shares(before, after).values())


def test_on_this_host() -> None:
    """The real /proc gives every reading."""
    check = Cpu(CpuOptions())
    assert isinstance(Cpu.default(System()), CpuOptions)
    first = collect(check)
    assert values(first)["cpu_count"] == psutil.cpu_count()
    while psutil.cpu_times() == first.memory:
        pass
    found = {name.split()[0] for name in values(collect(check, after=first))}
    assert {"load_average", "cpu_count"} <= found
