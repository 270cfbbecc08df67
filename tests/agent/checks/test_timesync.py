"""The kernel's word on its clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import timex
from agent.checks import timesync
from agent.checks.contract import CheckError, Sample
from agent.checks.runner import Memory, Plan, judge
from agent.checks.timesync import Clock, Time, TimeOptions, derive
from agent.paths import System
from tests.agent.checks.tree import NOW, collect, said, values

IN_STEP = Clock(True, -0.002, 0.05, 0.001)
ADRIFT = Clock(False, 0, 16, 16)


def verdict(sample: Sample, ticks: float = 1, memory: Memory | None = None) -> tuple[str, str, Memory]:
    check = Time(TimeOptions())
    judged = judge(Plan("time", "time", check, check.options), sample, memory, now=NOW, ticks=ticks, duration=0)
    return judged.state.state, judged.state.message, judged.memory


def test_the_real_kernel_is_asked() -> None:
    """It says one or the other; figures are there where they mean something."""
    found = values(collect(Time(TimeOptions())))
    state, details = timex.read_timex()
    assert found["time_synchronized"] == (not details.status & timex.STA_UNSYNC)
    assert ("time_max_error_seconds" in found) == bool(found["time_synchronized"])
    assert bool(details.status & timex.STA_UNSYNC) <= (state == timex.TIME_ERROR)
    assert details.tick in range(9000, 11001)  # µs; that the structure is laid out as the kernel's


def test_a_clock_in_step_is_ok() -> None:
    """How far it is off has no sign."""
    sample = derive(IN_STEP)
    assert values(sample) == {
        "time_synchronized": 1,
        "time_offset_seconds": 0.002,
        "time_max_error_seconds": 0.05,
        "time_estimated_error_seconds": 0.001,
    }
    assert verdict(sample)[:2] == ("ok", "in step, off by 50 ms at most")


def test_a_clock_that_nothing_keeps_in_step_is_a_warning_after_a_while() -> None:
    """After a boot it takes its time."""
    sample = derive(ADRIFT)
    assert values(sample) == {"time_synchronized": 0}
    state, message, memory = verdict(sample)
    assert (state, message.partition(",")[0]) == ("ok", "nothing keeps the clock in step")
    for ticks in range(60, 961, 60):
        state, message, memory = verdict(sample, ticks, memory)
    assert (state, message) == ("warning", "nothing keeps the clock in step, warning at or below 0 for 15m")
    assert verdict(derive(IN_STEP), 1020, memory)[0] == "ok"


def test_a_clock_that_is_off_is_bad_after_a_while() -> None:
    """Also one that is ahead."""
    memory = None
    for ticks in range(0, 301, 60):
        state, message, memory = verdict(derive(Clock(True, -1.5, 2, 1)), ticks + 1, memory)
    assert (state, message) == ("critical", "the clock is off by 1.5 s, critical from 1 s for 5m")


def test_a_kernel_that_may_not_be_asked_makes_the_check_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what forbids it."""

    def forbidden() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(timesync, "read_timex", forbidden)
    with pytest.raises(CheckError, match=r"adjtimex\(2\) is forbidden here, by ProtectClock= or SystemCallFilter="):
        collect(Time(TimeOptions()))


@pytest.mark.parametrize("mark", ["run/systemd/container", ".dockerenv", "run/.containerenv"])
def test_a_container_has_no_clock_of_its_own(tmp_path: Path, mark: str) -> None:
    """Everywhere else the check is there by itself."""
    assert Time.default(System(tmp_path)) == TimeOptions()
    (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mark).write_text("")
    assert Time.default(System(tmp_path)) is None


def test_units_of_the_offset_are_as_the_kernel_says() -> None:
    """Nanoseconds where it counts in them, else microseconds."""
    assert timex.Timex(status=timex.STA_NANO).unit == 1e-9
    assert timex.Timex(status=timex.STA_UNSYNC).unit == 1e-6
    assert said(derive(IN_STEP)) == []
