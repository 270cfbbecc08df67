"""Judging one value by its bounds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import Bounds, Floor, Override, Threshold
from agent.checks.thresholds import Tracks, evaluate, forget_pending, resolve, say, worst
from kit.units import Duration
from wire.report import SEVERITY

values = st.floats(-1e6, 1e6)
limits = st.floats(-1e3, 1e3)
moments = st.floats(0, 1e9)


@st.composite
def bounds(draw: st.DrawFn, kind: type[Threshold] = Threshold) -> Threshold:
    """Any bounds that can be configured, "off" and equal ones too."""
    low, high = sorted((draw(limits), draw(limits)))
    warning, critical = (low, high) if kind is Threshold else (high, low)
    return kind(
        warning=draw(st.sampled_from([warning, "off"])),
        critical=draw(st.sampled_from([critical, "off"])),
        for_=Duration(draw(st.sampled_from([0, 0, 30, 300]))),
        hysteresis=draw(st.sampled_from([0, 1, 50])),
    )


either = bounds() | bounds(Floor)
tracks = st.builds(
    lambda b, steps: _after(b, steps),
    either,
    st.lists(st.tuples(values, st.floats(0, 400)), max_size=5),
)


def _after(which: Bounds, steps: list[tuple[float, float]]) -> tuple[Bounds, Tracks, float]:
    """Bounds, and what is remembered after some values at growing ticks."""
    remembered, now = Tracks(), 0.0
    for value, passed in steps:
        now += passed
        remembered = evaluate(value, which, remembered, ticks=now).tracks
    return which, remembered, now


@given(tracks, values, values, st.floats(0, 400))
def test_a_worse_value_never_gives_a_better_state(
    before: tuple[Bounds, Tracks, float], one: float, other: float, passed: float
) -> None:
    """Whatever came before, the worse of two values is judged at least as badly."""
    which, remembered, now = before
    better, worse = sorted((one, other), reverse=which.worse == "below")
    judged = [evaluate(value, which, remembered, ticks=now + passed).state for value in (better, worse)]
    assert SEVERITY.index(judged[0]) <= SEVERITY.index(judged[1])


@given(either, st.lists(st.floats(0, 1), min_size=1), st.floats(1, 100))
def test_nothing_flaps_inside_the_hysteresis(which: Threshold, places: list[float], step: float) -> None:
    """A level in force stays while the value is between its threshold and the hysteresis past it."""
    for level, threshold in (("warning", which.warning), ("critical", which.critical)):
        if isinstance(threshold, str):
            continue
        only = msgspec.structs.replace(which, **{"warning": "off", "critical": "off", level: threshold})
        sign = 1 if which.worse == "above" else -1
        remembered = evaluate(threshold, only, Tracks(), ticks=0).tracks
        remembered = evaluate(threshold, only, remembered, ticks=which.for_).tracks
        for number, place in enumerate(places, start=1):
            # A little less than the whole width, which floating point may not hit exactly.
            value = threshold - sign * which.hysteresis * place * 0.999
            verdict = evaluate(value, only, remembered, ticks=which.for_ + number * step)
            assert verdict.state == level
            remembered = verdict.tracks


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_for_counts_by_the_ticks_that_passed(passed: list[float]) -> None:
    """A value that stays bad counts from the first tick at which it was bad for that long."""
    which = Threshold(warning=80, for_=Duration(60))
    remembered, now = Tracks(), 0.0
    for seconds in [0.0, *passed]:
        now += seconds
        verdict = evaluate(90, which, remembered, ticks=now)
        remembered = verdict.tracks
        assert (verdict.state == "warning") == (now >= 60)


@given(either, st.lists(st.tuples(values, moments), max_size=20))
def test_no_clock_breaks_it(which: Threshold, steps: list[tuple[float, float]]) -> None:
    """Ticks that stand still, jump or run backwards give a state, and never time that did not pass."""
    remembered = Tracks()
    for value, ticks in steps:
        verdict = evaluate(value, which, remembered, ticks=ticks)
        remembered = verdict.tracks
        for track in (remembered.warning, remembered.critical):
            assert track is None or track.since <= ticks
        assert verdict.state in SEVERITY


@given(either, values)
def test_without_for_a_value_counts_at_once(which: Threshold, value: float) -> None:
    """The state of a first value is what comparing it says."""
    at_once = msgspec.structs.replace(which, for_=Duration(0))

    def is_bad(threshold: float | str) -> bool:
        if isinstance(threshold, str):
            return False
        return value >= threshold if which.worse == "above" else value <= threshold

    expected = "critical" if is_bad(which.critical) else "warning" if is_bad(which.warning) else "ok"
    assert evaluate(value, at_once, Tracks(), ticks=0).state == expected


def test_crossing_and_coming_back_starts_anew() -> None:
    """Fifty seconds above, one reading below, and fifty above again are no minute."""
    which = Threshold(warning=80, for_=Duration(60))
    remembered = evaluate(90, which, Tracks(), ticks=0).tracks
    remembered = evaluate(90, which, remembered, ticks=50).tracks
    remembered = evaluate(79, which, remembered, ticks=55).tracks
    assert remembered == Tracks()
    remembered = evaluate(90, which, remembered, ticks=60).tracks
    assert evaluate(90, which, remembered, ticks=110).state == "ok"
    assert evaluate(90, which, remembered, ticks=120).state == "warning"


def test_pending_time_is_forgotten_and_what_is_in_force_is_not() -> None:
    """After nobody looked for a while only what was certain stays."""
    which = Threshold(warning=80, critical=95, for_=Duration(60))
    remembered = evaluate(90, which, Tracks(), ticks=0).tracks
    remembered = evaluate(99, which, remembered, ticks=60).tracks
    kept = forget_pending(remembered)
    assert kept.warning == remembered.warning
    assert kept.warning is not None and kept.warning.in_force
    assert remembered.critical is not None
    assert kept.critical is None


@pytest.mark.parametrize(
    ("which", "steps", "text"),
    [
        (Threshold(warning=80, critical=95), [(91, 0)], "warning from 80 %"),
        (Threshold(warning=80, critical=95), [(96, 0)], "critical from 95 %"),
        (Threshold(warning=80), [(79.9, 0)], ""),
        (Threshold(critical=85, for_=Duration(60)), [(90, 0), (90, 20)], "above 85 % for 20s of 1m"),
        (Threshold(critical=85, for_=Duration(60)), [(90, 0), (90, 60)], "critical from 85 % for 1m"),
        (Threshold(warning=80, hysteresis=2), [(81, 0), (79, 1)], "warning until below 78 %"),
        (Floor(critical=10), [(9, 0)], "critical at or below 10 %"),
        (Floor(warning=10, hysteresis=5), [(9, 0), (12, 1)], "warning until above 15 %"),
        (Floor(warning=10, for_=Duration(60)), [(9, 0), (9, 30)], "at or below 10 % for 30s of 1m"),
        (
            Threshold(warning=70, critical=85, for_=Duration(60)),
            [(75, 0), (90, 60), (90, 90)],
            "warning from 70 % for 1m, above 85 % for 30s of 1m",
        ),
    ],
)
def test_the_text_says_which_threshold_and_how_long(
    which: Bounds, steps: list[tuple[float, float]], text: str
) -> None:
    """In force: from where; pending: for how much of how long; in the hysteresis: until where."""
    remembered = Tracks()
    for value, ticks in steps:
        verdict = evaluate(value, which, remembered, ticks=ticks, unit="percent")
        remembered = verdict.tracks
    assert verdict.text == text


VAR = Override(labels={"mount": "/var*"}, warning=90)
BACKUP = Override(labels={"mount": "/var/backup", "fstype": "ext?"}, warning="off", critical=99, hysteresis=3)


@pytest.mark.parametrize(
    ("overrides", "labels", "expected"),
    [
        ((VAR, BACKUP), {"mount": "/home"}, (80, 95)),
        ((VAR, BACKUP), {"mount": "/var/backup", "fstype": "ext4"}, (90, 95)),
        ((BACKUP, VAR), {"mount": "/var/backup", "fstype": "ext4"}, ("off", 99)),
        ((BACKUP, VAR), {"mount": "/var/backup", "fstype": "xfs"}, (90, 95)),
        ((BACKUP,), {"mount": "/var/backup"}, (80, 95)),
        ((VAR,), {"mount": "/VAR"}, (80, 95)),
    ],
)
def test_the_first_override_whose_labels_all_match_holds(
    overrides: tuple[Override, ...], labels: dict[str, str], expected: tuple[Any, Any]
) -> None:
    """What an override leaves out stays the threshold's own; a label that is not there matches nothing."""
    found = resolve(Threshold(warning=80, critical=95, hysteresis=1, overrides=overrides), labels)
    assert (found.warning, found.critical) == expected
    assert found.hysteresis == (3 if expected == ("off", 99) else 1)


@given(either, st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_an_override_that_matches_wins(which: Threshold, labels: dict[str, str]) -> None:
    """Its values are the ones that count, for any labels that it names exactly or by a star."""
    override = Override(
        labels=dict.fromkeys(labels, "*"), warning="off", critical="off", for_=Duration(7), hysteresis=9
    )
    found = resolve(msgspec.structs.replace(which, overrides=(override,)), labels)
    assert (found.warning, found.critical, found.for_, found.hysteresis) == ("off", "off", 7, 9)
    assert found.worse == which.worse


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Bounds, {"warning": 95, "critical": 90}),
        (Threshold, {"warning": 95, "critical": 90}),
        (Floor, {"warning": 5, "critical": 10}),
        (Threshold, {"warning": 80, "critical": 90, "overrides": [{"labels": {}, "warning": 91}]}),
        (Floor, {"warning": 80, "critical": 70, "overrides": [{"labels": {}, "critical": 81}]}),
    ],
)
def test_critical_before_warning_is_refused(kind: type[Bounds], options: dict[str, Any]) -> None:
    """Bounds of which the warning could never be seen are a mistake, in an override too."""
    with pytest.raises(msgspec.ValidationError, match=r"warning must be at (most|least) critical"):
        msgspec.convert(options, kind)


def test_unknown_is_worse_than_a_warning() -> None:
    """Critical, then unknown, then warning, then ok; nothing at all is ok."""
    assert worst("ok", "warning", "unknown", "critical") == "critical"
    assert worst("warning", "unknown", "ok") == "unknown"
    assert worst("ok", "warning") == "warning"
    assert worst() == "ok"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (91, "percent", "91 %"),
        (91.26, "percent", "91.3 %"),
        (0.5, "seconds", "500 ms"),
        (2.345, "seconds", "2.35 s"),
        (7200, "seconds", "2h"),
        (-7200, "seconds", "-2h"),
        (1536, "bytes", "1.5KiB"),
        (1536, "bytes/s", "1.5KiB/s"),
        (12, "1/s", "12/s"),
        (0, "", "0"),
        (123456.7, "", "123457"),
        (1e20, "", "1e+20"),
        (3, "apples", "3 apples"),
    ],
)
def test_values_are_said_with_their_units(value: float, unit: str, text: str) -> None:
    """Three digits, and units as people write them."""
    assert say(value, unit) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["percent", "bytes", "seconds", "1/s", ""]))
def test_any_value_can_be_said(value: float, unit: str) -> None:
    """No finite value is too large or too small for a short text."""
    assert 0 < len(say(value, unit)) < 400
