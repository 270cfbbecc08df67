"""What a report changes of a host's record."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.rules.intake import HostRecord, clock_offset, count_lost, hear, take
from tests.collector.support import NOW, check
from wire import limits
from wire.report import Gap, Report

FRESH = HostRecord(id="a" * 16, name="web1", enrolled=NOW, agent="0.1.0", facts={"os": "Debian"}, since=NOW)


def report(time: float = NOW, **fields: Any) -> Report:
    """A report made at `time`."""
    usual: dict[str, Any] = {
        "host": FRESH.id,
        "epoch": "e",
        "sequence": 1,
        "boot": "b",
        "agent": "0.2.0",
        "interval": 15.0,
        "checks": [check(time=time)],
    }
    return Report(time=time, **{**usual, **fields})


def test_the_first_report_ends_pending_and_is_remembered_as_a_change_of_the_host() -> None:
    """Checks that are ok from the start are not worth a line each."""
    after, changes = take(FRESH, report(), received=NOW + 1, created=NOW)
    assert (after.state, after.since, after.agent) == ("ok", NOW + 1, "0.2.0")
    assert [(one.check, one.before, one.after, one.time) for one in changes] == [("", "pending", "ok", NOW + 1)]


def test_a_check_that_changes_is_remembered_with_the_time_it_says() -> None:
    """By home's clock: the host's own is a minute ahead."""
    before, _ = take(FRESH, report(NOW + 60), received=NOW, created=NOW + 60)
    assert before.clock_offset == 60
    bad = report(NOW + 75, checks=[check(state="critical", time=NOW + 75, since=NOW + 70)])
    after, changes = take(before, bad, received=NOW + 15, created=NOW + 75)
    assert [(one.check, one.before, one.after, one.time) for one in changes] == [
        ("cpu", "ok", "critical", NOW + 10),
        ("", "ok", "critical", NOW + 15),
    ]
    assert after.message == "cpu: cpu is critical"


def test_facts_stay_until_a_report_brings_others() -> None:
    """They travel only when they change."""
    after, _ = take(FRESH, report(), received=NOW, created=NOW)
    assert after.facts == {"os": "Debian"}
    after, _ = take(after, report(facts={}), received=NOW, created=NOW)
    assert after.facts == {}


def test_a_host_that_is_down_comes_back_with_any_report() -> None:
    """Also with one of an older stream, which says nothing about how it stands."""
    up, _ = take(FRESH, report(), received=NOW, created=NOW)
    down = replace(up, state="down", message="quiet", since=NOW + 100)
    for after, changes in (
        take(down, report(NOW + 200), received=NOW + 200, created=NOW + 200),
        hear(down, received=NOW + 200),
    ):
        assert (after.state, after.since, after.received) == ("ok", NOW + 200, NOW + 200)
        assert [(one.before, one.after) for one in changes] == [("down", "ok")]


def test_reports_that_waited_in_the_spool_do_not_look_like_a_clock_that_is_behind() -> None:
    """The offset stays what it was until reports come as steadily as they are made."""
    steady, _ = take(FRESH, report(NOW), received=NOW, created=NOW)
    late = steady
    for number in range(1, 5):  # an outage of an hour, then the backlog within a second
        late, _ = take(
            late, report(NOW + 15 * number), received=NOW + 3600 + number / 4, created=NOW + 3600 + number / 4
        )
        assert late.clock_offset == 0
    caught_up, _ = take(late, report(NOW + 3615), received=NOW + 3615.2, created=NOW + 3615)
    again, _ = take(caught_up, report(NOW + 3630), received=NOW + 3630.2, created=NOW + 3630)
    assert abs(again.clock_offset + 0.2) < 0.01


@given(st.floats(-1e6, 1e6), st.floats(0.0, 1.0))
def test_steady_reports_tell_the_offset_of_the_clock(offset: float, delay: float) -> None:
    """To within the time that a report takes to arrive."""
    before = replace(FRESH, received=NOW + delay, reported=NOW + offset)
    found = clock_offset(before, report(NOW + offset + 15), received=NOW + 15 + delay, created=NOW)
    assert abs(found - offset) <= delay + 0.01


@given(st.lists(st.tuples(st.integers(0, 1 << 53), st.integers(0, 1 << 53)), max_size=5))
def test_losses_add_up(gaps: list[tuple[int, int]]) -> None:
    """Nothing that a host counts as lost gets lost again, as far as can be counted."""
    found = [Gap(reason="size", since=0, until=1, readings=r, reports=n) for r, n in gaps]
    lost = count_lost(count_lost({}, report(gaps=found)), report(gaps=found))
    assert lost.get("readings", 0) == min(2 * sum(r for r, _ in gaps), limits.MAX_COUNT)
    assert lost.get("reports", 0) == min(2 * sum(n for _, n in gaps), limits.MAX_COUNT)
