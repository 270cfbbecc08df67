"""What happened on a host, as one list."""

from __future__ import annotations

from collector.api.shapes import StateChange
from collector.web.timeline import LENGTH, timeline
from tests.web.made import NOW
from wire.report import Event

CHANGE = StateChange(time=NOW, check="cpu", before="ok", after="warning", message="78 % used")


def test_the_newest_comes_first_whoever_told_it() -> None:
    """Changes that home saw and events that the host told are one story."""
    events = [Event(time=NOW + 50, kind="agent.started", message="again"), Event(time=NOW - 50, kind="x", message="")]
    assert [entry.subject for entry in timeline([CHANGE], events, 0)] == ["Agent started", "cpu", "X"]


def test_an_event_that_says_what_a_change_says_is_told_once() -> None:
    """The host tells each change of a check, and home sees it in the report."""
    same = Event(time=NOW + 3, kind="check.changed", message="78 % used", state="warning", check="cpu")
    other = Event(time=NOW + 3, kind="check.changed", message="back", state="ok", check="cpu")
    assert [entry.state for entry in timeline([CHANGE], [same], 0)] == ["warning"]
    assert [entry.state for entry in timeline([CHANGE], [other], 0)] == ["ok", "warning"]


def test_a_hosts_times_are_told_by_homes_clock() -> None:
    """Or a host whose clock is an hour ahead would always be the newest."""
    ahead = Event(time=NOW + 3590, kind="x", message="")
    assert [entry.time for entry in timeline([CHANGE], [ahead], 3600)] == [NOW, NOW - 10]


def test_the_list_is_bounded() -> None:
    """However much happened."""
    assert len(timeline([CHANGE] * 500, [], 0)) == LENGTH


def test_a_first_state_has_no_before() -> None:
    """A check that is bad at first sight came from nowhere."""
    [entry] = timeline([StateChange(time=NOW, check="", before=None, after="critical", message="")], [], 0)
    assert (entry.subject, entry.change) == ("Host", "→ critical")
