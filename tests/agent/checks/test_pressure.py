"""Pressure stall information."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.checks.contract import CheckError
from agent.checks.pressure import Pressure, PressureOptions, parse_pressure
from agent.checks.runner import Plan, judge
from agent.paths import System
from tests.agent.checks.tree import NOW, collect, tree, values
from tests.require import require


def pressure(cpu: int = 0, memory: int = 0, memory_full: int = 0, io: int = 0, io_full: int = 0) -> dict[str, str]:
    """The files of /proc/pressure with these totals, in microseconds."""

    def line(share: str, total: int) -> str:
        return f"{share} avg10=1.50 avg60=0.25 avg300=0.05 total={total}\n"

    return {
        "proc/pressure/cpu": line("some", cpu) + line("full", 0),
        "proc/pressure/memory": line("some", memory) + line("full", memory_full),
        "proc/pressure/io": line("some", io) + line("full", io_full),
    }


def test_averages_are_read_and_shares_come_from_the_totals(tmp_path: Path) -> None:
    """A total of microseconds that grew by a second in ten is 10 %."""
    first = collect(Pressure(PressureOptions()), tree(tmp_path, pressure(cpu=5_000_000)))
    assert "pressure_stalled_percent cpu some" not in values(first)
    assert values(first)["pressure_average_percent cpu some 10s"] == 1.5
    then = tree(tmp_path, pressure(cpu=6_000_000, memory_full=500_000, io=2_500_000))
    second = collect(Pressure(PressureOptions()), then, after=first)
    shares = {name: value for name, value in values(second).items() if name.startswith("pressure_stalled")}
    assert shares == {
        "pressure_stalled_percent cpu some": 10,
        "pressure_stalled_percent memory some": 0,
        "pressure_stalled_percent memory full": 5,
        "pressure_stalled_percent io some": 25,
        "pressure_stalled_percent io full": 0,
    }
    assert second.summary == "stalled: cpu 10.0 %, memory 0.0 %, io 25.0 %"


def test_each_resource_is_judged_by_its_own_bounds(tmp_path: Path) -> None:
    """A host that thrashes is critical, and one that is merely busy is not."""
    options = PressureOptions()
    first = collect(Pressure(options), tree(tmp_path, pressure()))
    busy = tree(tmp_path, pressure(cpu=9_000_000, memory_full=6_000_000, io=9_000_000, io_full=9_000_000))
    sample = collect(Pressure(options), busy, after=first)
    plan = Plan("pressure", "pressure", Pressure(options), options)
    memory = judge(plan, first, None, now=NOW, ticks=0, duration=0).memory
    for ticks in range(15, 150, 15):
        memory = judge(plan, sample, memory, now=NOW, ticks=ticks, duration=0).memory
    judged = judge(plan, sample, memory, now=NOW, ticks=150, duration=0)
    assert judged.state.state == "critical"
    assert judged.state.message == "all tasks waited for memory 60 % of the time, critical from 50 % for 2m"


def test_it_belongs_where_the_kernel_counts(tmp_path: Path) -> None:
    """Not on one without the files."""
    assert Pressure.default(System(tmp_path)) is None
    assert Pressure.default(tree(tmp_path, pressure())) == PressureOptions()


def test_the_real_kernel_is_understood() -> None:
    """Shares of this host, which are between nothing and all."""
    require(Pressure.default(System()) is not None, "pressure stall information in its kernel")
    first = collect(Pressure(PressureOptions()))
    sample = collect(Pressure(PressureOptions()), after=first)
    assert {"cpu some", "memory some", "memory full", "io some", "io full"} == {
        f"{m.labels['resource']} {m.labels['share']}" for m in sample.measurements if "window" not in m.labels
    }
    assert all(0 <= m.value <= 100 for m in sample.measurements)


@pytest.mark.parametrize("text", ["", "some avg10=1", "nothing", "some avg10=x avg60=0 avg300=0 total=0"])
def test_what_is_not_understood_is_said(text: str) -> None:
    """And never taken for zero."""
    with pytest.raises(CheckError):
        parse_pressure(text)


@given(st.one_of(st.text(), st.text(alphabet="somefullavg01356=. \n").map(lambda text: f"some {text}")))
@example(pressure()["proc/pressure/io"])
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but the documented error."""
    try:
        lines = parse_pressure(text)
    except CheckError:
        return
    assert all(not math.isnan(line.total) for line in lines.values())
