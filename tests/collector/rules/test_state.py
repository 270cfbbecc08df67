"""A host is as well as its worst check, and down when it is quiet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.rules.state import SEVERITY, host_state, is_quiet, is_stale, worst
from tests.collector.support import check
from wire.report import STATES

states = st.lists(st.sampled_from(STATES), max_size=8)


@given(states)
def test_the_worst_check_decides(found: list[str]) -> None:
    """No check is worse than its host, and a host with checks is in the state of one of them."""
    checks = [check(f"c{number}", state) for number, state in enumerate(found)]
    state, message = host_state(checks)
    assert message
    if checks:
        assert state in found
        assert all(SEVERITY[one.state] <= SEVERITY[state] for one in checks)
    else:
        assert state == "unknown"


@given(states, st.randoms())
def test_the_order_of_checks_does_not_matter(found: list[str], random: object) -> None:
    """The same checks give the same state and message in any order."""
    checks = [check(f"c{number}", state, since=float(number)) for number, state in enumerate(found)]
    shuffled = list(checks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert host_state(shuffled) == host_state(checks)


def test_critical_is_worse_than_unknown_is_worse_than_warning_is_worse_than_ok() -> None:
    """Home ranks states as the agent does."""
    order = ["ok", "warning", "unknown", "critical"]
    for number, state in enumerate(order):
        assert host_state([check(other, other) for other in order[: number + 1]])[0] == state


def test_of_equally_bad_checks_the_one_that_has_been_so_for_longest_is_named() -> None:
    """The first cause is likelier to be in the message than what followed from it."""
    decisive = worst([check("new", "critical", since=20), check("old", "critical", since=10)])
    assert decisive is not None
    assert decisive.name == "old"


@pytest.mark.parametrize(
    ("interval", "age", "stale"), [(15, 105, False), (15, 105.5, True), (3600, 10860, False), (0, 1e6, False)]
)
def test_a_check_that_is_not_run_any_more_is_stale(interval: float, age: float, stale: bool) -> None:
    """After three of its intervals and a minute; one that has no interval runs by a timetable, and is not."""
    measured = replace(check("c", "ok", since=0), time=1000.0, interval=interval)
    assert is_stale(measured, 1000.0 + age) is stale


def test_quiet_is_more_than_three_intervals() -> None:
    """A host may miss two reports and be late with the third."""
    assert not is_quiet(100, 15, 145)
    assert is_quiet(100, 15, 145.1)
