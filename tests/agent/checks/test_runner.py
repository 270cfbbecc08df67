"""Running checks and judging what they found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks import registry, runner
from agent.checks.contract import (
    Bounds,
    Check,
    CheckError,
    CheckOptions,
    Command,
    CommandCheck,
    Context,
    Finding,
    Finished,
    Measurement,
    Override,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.http import HttpOptions, Value
from agent.checks.runner import (
    MAX_READINGS,
    Failure,
    Memory,
    Plan,
    collect_call,
    collect_inline,
    command_for,
    decode_outcome,
    encode_call,
    judge,
    make_context,
    parse_command,
    plan,
    rounded,
)
from agent.checks.tcp import TcpOptions
from agent.paths import System
from kit.errors import ConfigurationError
from kit.units import Duration
from tests.agent.checks.tree import NOW
from wire.limits import MAX_LABELS, MAX_MESSAGE, MAX_VALUE


class GaugeOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    used: Threshold = Threshold(warning=80, critical=95)


class Gauge(Check[GaugeOptions]):
    """Measures what the test gives it."""

    Options = GaugeOptions

    def rules(self) -> list[Rule]:
        return [Rule("used_percent", self.options.used, "{mount} {value} used")]

    def collect(self, context: Context) -> Sample:
        raise NotImplementedError


class Counter(Gauge):
    rates = True


class Lasting(Gauge):
    lasting = True


class Program(CommandCheck[GaugeOptions]):
    Options = GaugeOptions

    def command(self, context: Context) -> Command:
        raise CheckError("there is nothing to start")

    def parse(self, context: Context, finished: Finished) -> Sample:
        raise IndexError("no such word")


def planned(check: type[Check[Any]] = Gauge, **options: Any) -> Plan:
    settings = GaugeOptions(**options)
    return Plan("space", "gauge", check(settings), settings)


def used(value: float, mount: str = "/var") -> Measurement:
    return Measurement("used_percent", value, "percent", {"mount": mount})


def run(
    which: Plan,
    outcome: Sample | Failure,
    memory: Memory | None = None,
    *,
    at: float = 0,
) -> runner.Judged:
    """Judge at `at` seconds, with what is remembered coming back from where it was stored."""
    if memory is not None:
        memory = msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=Memory)
    return judge(which, outcome, memory, now=NOW + at, ticks=1000 + at, duration=0.5)


def test_all_well_says_the_summary() -> None:
    """An ok check shows its summary, its readings carry its name and time, and nothing is an event."""
    judged = run(planned(), Sample([used(40)], summary="/var 40 % used"))
    state = judged.state
    assert (state.name, state.kind, state.state, state.message) == ("space", "gauge", "ok", "/var 40 % used")
    assert (state.since, state.time, state.duration, state.interval) == (NOW, NOW, 0.5, 15)
    (reading,) = judged.readings
    assert (reading.check, reading.name, reading.value, reading.time) == ("space", "used_percent", 40, NOW)
    assert judged.event is None


def test_a_bad_reading_says_which_value_and_threshold() -> None:
    """The worst comes first, and the state's change is an event."""
    judged = run(planned(), Sample([used(91), used(97, "/home"), used(3, "/")], summary="fine"))
    assert judged.state.state == "critical"
    assert judged.state.message == "/home 97 % used, critical from 95 %; /var 91 % used, warning from 80 %"
    assert judged.event is not None
    assert (judged.event.kind, judged.event.check, judged.event.state) == ("check.changed", "space", "critical")
    assert judged.event.message.startswith("ok → critical: /home 97 % used")


def test_since_moves_only_with_the_state() -> None:
    """A state that lasts keeps its beginning, and is no event."""
    which = planned()
    first = run(which, Sample([used(91)]))
    second = run(which, Sample([used(92)]), first.memory, at=15)
    third = run(which, Sample([used(10)], summary="fine"), second.memory, at=30)
    assert (second.state.since, second.event) == (NOW, None)
    assert third.state.since == NOW + 30
    assert third.event is not None
    assert third.event.message == "warning → ok: fine"


def test_while_pending_the_state_stays_and_the_message_tells() -> None:
    """Above for less than `for` is ok, with how long already."""
    which = planned(used=Threshold(critical=85, for_=Duration(60)))
    first = run(which, Sample([used(90)], summary="fine"))
    second = run(which, Sample([used(90)], summary="fine"), first.memory, at=20)
    assert second.state.state == "ok"
    assert second.state.message == "/var 90 % used, above 85 % for 20s of 1m"
    memory = second.memory
    for at in (35, 50):
        memory = run(which, Sample([used(90)]), memory, at=at).memory
    assert run(which, Sample([used(90)]), memory, at=60).state.state == "critical"


def test_a_gap_in_watching_does_not_count_as_time_above() -> None:
    """A host that slept for an hour has not been busy for an hour."""
    which = planned(used=Threshold(critical=85, for_=Duration(60)))
    first = run(which, Sample([used(90)]))
    later = run(which, Sample([used(90)]), first.memory, at=3600)
    assert later.state.message == "/var 90 % used, above 85 % for 0s of 1m"


def test_a_failure_is_unknown_with_its_reason() -> None:
    """What was in force is remembered beyond it, what was pending is not, and the next run starts afresh."""
    which = planned(used=Threshold(warning=80, hysteresis=5))
    first = run(which, Sample([used(81)], memory=[1]))
    failed = run(which, Failure("no answer within 10s"), first.memory, at=15)
    assert (failed.state.state, failed.state.message, failed.readings) == ("unknown", "no answer within 10s", [])
    assert make_context(which, failed.memory, system=System(), now=NOW, ticks=1030).previous is None
    after = run(which, Sample([used(78)]), failed.memory, at=30)
    assert after.state.message == "/var 78 % used, warning until below 75 %"


def test_findings_and_thresholds_make_one_state() -> None:
    """Critical before unknown before warning, and each has its part of the message."""
    sample = Sample([used(91)], [Finding("unknown", "/x cannot be read"), Finding("critical", "/y is read-only")])
    judged = run(planned(), sample)
    assert judged.state.state == "critical"
    assert judged.state.message == "/y is read-only; /x cannot be read; /var 91 % used, warning from 80 %"
    judged = run(planned(), Sample([used(91)], [Finding("unknown", "/x cannot be read")]))
    assert judged.state.state == "unknown"


def test_a_remark_is_said_while_all_is_well() -> None:
    """A finding that is ok stands in the summary's place."""
    judged = run(planned(), Sample([used(1)], [Finding("ok", "rebuilding, 40 % done")], "fine"))
    assert (judged.state.state, judged.state.message) == ("ok", "rebuilding, 40 % done")


def test_counters_without_a_sample_before_are_being_measured() -> None:
    """A first run is neither an alarm nor an all-clear."""
    which = planned(Counter)
    first = run(which, Sample([Measurement("cpu_count", 4)], summary="4 CPUs", memory=[1]))
    assert (first.state.state, first.state.message) == ("ok", "measuring: rates need a second sample")
    assert len(first.readings) == 1
    second = run(which, Sample([used(99)], memory=[2]), first.memory, at=15)
    assert second.state.state == "critical"
    booted = run(which, Sample(memory=[3]), second.memory.after_boot(lasting=False), at=30)
    assert (booted.state.state, booted.event) == ("critical", None)


def test_while_measuring_only_what_was_not_measured_stays_as_it_was() -> None:
    """A reading that is there without a second sample is judged at once."""
    which = planned(Counter)
    before = run(which, Sample([used(99), used(85, "/home")], memory=[1]))
    booted = run(which, Sample([used(10)], memory=[2]), before.memory.after_boot(lasting=False), at=30)
    assert booted.state.state == "warning"
    after = run(which, Sample([used(10), used(20, "/home")], summary="fine", memory=[3]), booted.memory, at=45)
    assert (after.state.state, after.state.message) == ("ok", "fine")
    assert after.memory.tracks == {}


def test_no_data_is_its_own_outcome() -> None:
    """A check that found nothing to measure and has nothing to say is not ok."""
    judged = run(planned(), Sample())
    assert (judged.state.state, judged.state.message) == ("unknown", "no data: the check found nothing to measure")


def test_previous_and_elapsed_come_from_the_last_sample() -> None:
    """And are missing at first, after a boot, for another kind of check, and when the clock stood still."""
    which = planned()
    system = System()
    assert make_context(which, None, system=system, now=NOW, ticks=5).previous is None
    memory = run(which, Sample([used(1)], memory={"a": 1})).memory
    context = make_context(which, memory, system=system, now=NOW, ticks=1015)
    assert (context.previous, context.elapsed) == ({"a": 1}, 15)
    for other, ticks in (
        (memory.after_boot(lasting=False), 1015.0),
        (msgspec.structs.replace(memory, kind="other"), 1015.0),
        (memory, 1000.0),
        (memory, 3.0),
    ):
        context = make_context(which, other, system=system, now=NOW, ticks=ticks)
        assert (context.previous, context.elapsed) == (None, None)


def test_what_lasts_is_there_after_a_boot_and_a_failed_run() -> None:
    """Without the time that passed, which nobody knows then; another kind of check gets nothing of it."""
    which = planned(Lasting)
    memory = run(which, Sample([used(1)], memory={"a": 1})).memory
    failed = run(which, Failure("stopped at its time limit"), memory, at=15).memory
    again = run(which, Failure("stopped at its time limit"), failed, at=30).memory
    for kept in (memory.after_boot(lasting=True), failed, again, again.after_boot(lasting=True)):
        context = make_context(which, kept, system=System(), now=NOW, ticks=1045)
        assert (context.previous, context.elapsed) == ({"a": 1}, None)
    context = make_context(which, memory, system=System(), now=NOW, ticks=1015)
    assert (context.previous, context.elapsed) == ({"a": 1}, 15)
    other = msgspec.structs.replace(memory, kind="other")
    assert make_context(which, other, system=System(), now=NOW, ticks=1015).previous is None


def test_counters_that_last_are_measured_anew_after_a_boot() -> None:
    """What lasts is no sample to reckon rates from."""

    class LastingCounter(Lasting):
        rates = True

    which = planned(LastingCounter)
    memory = run(which, Sample([used(1)], memory=[1])).memory
    booted = run(which, Sample([used(1)], memory=[2]), memory.after_boot(lasting=True), at=15)
    assert booted.state.message == "measuring: rates need a second sample"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, "x", None])
def test_what_is_no_finite_number_is_unknown_and_never_kept(value: Any) -> None:
    """The other readings of the run are."""
    judged = run(planned(), Sample([used(value), used(3, "/")]))
    assert judged.state.state == "unknown"
    assert judged.state.message == 'used_percent{mount="/var"} is not a finite number'
    assert [reading.labels["mount"] for reading in judged.readings] == ["/"]


def test_a_value_is_judged_as_measured_and_kept_with_six_digits() -> None:
    """A threshold is not crossed by rounding."""
    judged = run(planned(), Sample([used(79.99999999)], summary="fine"))
    assert judged.state.state == "ok"
    assert [reading.value for reading in judged.readings] == [80]
    (kept,) = run(planned(), Sample([used(12.3456789)])).readings
    assert kept.value == 12.3457


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_keeps_six_digits_and_all_before_the_point(value: float) -> None:
    """Whole numbers are as they were, and rounding twice is rounding once."""
    kept = rounded(value)
    assert abs(kept - value) <= min(abs(value) * 5.1e-6, 0.5)
    assert kept == value or not value.is_integer()
    assert rounded(kept) == kept
    assert float(f"{kept:.6g}") == kept or abs(value) >= 1e5


def test_readings_are_bounded() -> None:
    """More than one check may have are left out, and the check says so."""
    judged = run(planned(), Sample([used(1, str(number)) for number in range(MAX_READINGS + 7)]))
    assert len(judged.readings) == MAX_READINGS
    assert judged.state.message == f"7 readings more than the {MAX_READINGS} that one check may have"
    assert judged.state.state == "unknown"


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement("no spaces", 1),
        Measurement("", 1),
        Measurement("a" * 129, 1),
        Measurement("a", 1, labels={f"l{number}": "" for number in range(MAX_LABELS + 1)}),
        Measurement("a", 1, labels={"not-a-label": "x"}),
        Measurement("a", 1, labels={"l" * 65: "x"}),
    ],
)
def test_what_home_would_refuse_is_not_kept(measurement: Measurement) -> None:
    """Impossible names and labels make the check unknown instead of the report."""
    judged = run(planned(), Sample([measurement, used(1)]))
    assert len(judged.readings) == 1
    assert judged.state.state == "unknown"


def test_the_same_series_counts_once() -> None:
    """Of two readings with one name and the same labels the first is kept."""
    judged = run(planned(), Sample([used(10), used(99)], summary="fine"))
    assert [reading.value for reading in judged.readings] == [10]
    assert judged.state.state == "ok"


def test_what_comes_from_outside_cannot_steer_a_terminal() -> None:
    """Messages and labels are one line of printable text."""
    evil = "\x1b[31mred\x00\nnext\tline"
    sample = Sample([used(99, evil)], [Finding("warning", evil)])
    judged = run(planned(), sample)
    assert judged.event is not None
    for text in (judged.state.message, judged.event.message, judged.readings[0].labels["mount"]):
        assert text.isprintable()


@given(st.lists(st.text(max_size=2000), min_size=1, max_size=20), st.text(max_size=2000))
def test_messages_and_labels_fit(findings: list[str], label: str) -> None:
    """However much a check has to say."""
    sample = Sample([used(99, label)], [Finding("warning", text) for text in findings])
    judged = run(planned(), sample)
    assert len(judged.state.message) <= MAX_MESSAGE
    assert judged.event is not None
    assert len(judged.event.message) <= MAX_MESSAGE
    assert len(judged.readings[0].labels["mount"]) <= MAX_VALUE
    assert judged.state.message.isprintable()


def test_a_long_message_counts_what_it_leaves_out() -> None:
    """Whole parts, as many as fit."""
    judged = run(planned(), Sample([used(99, f"/mount/number/{number:03}") for number in range(100)]))
    assert judged.state.message.startswith("/mount/number/000 99 % used, critical from 95 %; ")
    shown = judged.state.message.count("critical from")
    assert judged.state.message.endswith(f"; and {100 - shown} more")


def test_overrides_hold_for_their_readings_only() -> None:
    """/backup may be fuller than the others."""
    backup = Override(labels={"mount": "/backup"}, warning=98, critical=99)
    which = planned(used=Threshold(warning=80, critical=95, overrides=(backup,)))
    judged = run(which, Sample([used(97, "/backup"), used(81)]))
    assert judged.state.message == "/var 81 % used, warning from 80 %"


def test_two_rules_can_judge_one_measurement() -> None:
    """Too few and too many are told apart."""

    class Both(Gauge):
        def rules(self) -> list[Rule]:
            return [Rule("n", Bounds(warning=1)), Rule("n", Bounds(critical=5))]

    judged = run(planned(Both), Sample([Measurement("n", 7, labels={"a": "b"})]))
    assert judged.state.message == 'n{a="b"} 7, critical from 5; n{a="b"} 7, warning from 1'
    assert len(judged.memory.tracks) == 2


def test_a_rule_with_labels_is_for_readings_that_have_them() -> None:
    """Readings of one name can be judged each by its own bounds."""

    class Each(Gauge):
        def rules(self) -> list[Rule]:
            return [Rule("n", Bounds(warning=1), "{a} {value}", {"a": "b"}), Rule("n", Bounds(warning=9), "", {})]

    both = Sample([Measurement("n", 7, labels={"a": "b", "c": "d"}), Measurement("n", 8, labels={"a": "c"})])
    assert run(planned(Each), both).state.message == "b 7, warning from 1"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CheckError("the thing is gone"), "the thing is gone"),
        (FileNotFoundError(2, "No such file or directory", "/proc/stat"), "/proc/stat: No such file or directory"),
        (ValueError("invalid literal"), "the check failed: ValueError: invalid literal"),
    ],
)
def test_whatever_a_check_raises_is_a_failure(error: Exception, expected: str) -> None:
    """Its own words, the system's, or the error's type and text."""

    class Raises(Gauge):
        def collect(self, context: Context) -> Sample:
            raise error

    assert collect_inline(planned(Raises), Context(system=System(), now=NOW)) == Failure(expected)


def test_a_rule_that_cannot_be_applied_is_a_failure() -> None:
    """A mistake in one check ends neither the daemon nor `hostward check`."""
    broken = planned()
    broken.check.rules = lambda: [object()]
    judged = run(broken, Sample([used(1)]))
    assert judged.state.state == "unknown"
    assert judged.state.message.startswith("the check failed: AttributeError")


def test_a_check_that_returns_nonsense_fails() -> None:
    """Code of a check is not trusted to keep the contract."""

    class Nonsense(Gauge):
        def collect(self, context: Context) -> Sample:
            return None  # type: ignore[return-value]  # that is the point

    outcome = collect_inline(planned(Nonsense), Context(system=System(), now=NOW))
    assert outcome == Failure("the check gave NoneType instead of a sample")


def test_errors_round_a_command_are_failures() -> None:
    """In finding the program out, and in reading what it printed."""
    which = planned(Program)
    context = Context(system=System(), now=NOW)
    assert which.way == "command"
    assert command_for(which, context) == Failure("there is nothing to start")
    finished = Finished(0, "", "")
    assert parse_command(which, context, finished) == Failure("the check failed: IndexError: no such word")


def test_kinds_are_planned_by_name_or_type() -> None:
    """In the order of their names; a kind that there is not is a mistake in the configuration."""
    plans = plan({"web": TcpOptions(type="tcp", host="h", port=1), "cpu": registry.load("cpu").Options()})
    assert [(p.name, p.kind, p.way) for p in plans] == [("cpu", "cpu", "inline"), ("web", "tcp", "job")]
    with pytest.raises(ConfigurationError, match=r'checks.x: there is no kind of check called "x"'):
        plan({"x": CheckOptions()})


def test_a_call_carries_options_and_context_to_the_child_and_a_sample_back(tmp_path: Any) -> None:
    """Structs in structs, durations and sizes, and what the run before remembered."""
    options = HttpOptions(
        type="http",
        url="http://127.0.0.1:1/",
        timeout=Duration(0.5),
        values=(Value(name="depth", pointer="/a", warning=3, for_=Duration(90)),),
    )
    (which,) = plan({"web": options})
    context = Context(system=System(tmp_path), now=NOW, previous={"a": [1]}, elapsed=3)
    outcome = decode_outcome(collect_call(encode_call(which, context)))
    assert isinstance(outcome, Sample)
    assert outcome.findings[0].message == "127.0.0.1:1: Connection refused"
    assert outcome.measurements[0] == Measurement("http_up", 0)


def test_a_call_that_was_long_in_coming_waits_the_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit counts from the call on: it must still come to say what was wrong."""
    options = TcpOptions(host="127.0.0.1", port=1, timeout=Duration(10))
    which = Plan("port", "tcp", registry.load("tcp")(options), options)
    call = msgspec.msgpack.decode(encode_call(which, Context(System(), NOW)))
    late = msgspec.msgpack.encode(call | {"began": call["began"] - 7})
    seen: list[float] = []

    def collect(plan: Plan, context: Context) -> Failure:
        seen.append(plan.options.timeout)
        return Failure("none")

    monkeypatch.setattr(runner, "collect_inline", collect)
    collect_call(late)
    assert 2 < seen[0] <= 3


def test_a_failure_in_the_child_comes_back(tmp_path: Any) -> None:
    """With its reason."""
    (which,) = plan({"remote_disk": registry.load("remote_disk").Options()})
    outcome = decode_outcome(collect_call(encode_call(which, Context(system=System(tmp_path), now=NOW))))
    assert outcome == Failure(f"{tmp_path}/proc/self/mountinfo: No such file or directory")


@given(st.binary())
def test_nonsense_from_the_child_is_a_failure(data: bytes) -> None:
    """Whatever it wrote."""
    assert isinstance(decode_outcome(data), (Failure, Sample))


measurements = st.builds(
    Measurement,
    st.sampled_from(["used_percent", "other"]) | st.text(max_size=20),
    st.floats(),
    st.sampled_from(["percent", "bytes", "seconds", ""]),
    st.fixed_dictionaries({"mount": st.text(max_size=20)}),
)
samples = st.builds(
    Sample,
    st.lists(measurements, max_size=5),
    st.lists(st.builds(Finding, st.sampled_from(["ok", "warning", "critical", "unknown"]), st.text()), max_size=3),
    st.text(max_size=20),
    st.none() | st.lists(st.integers(0, 9)),
)


@given(st.lists(st.tuples(samples | st.builds(Failure, st.text()), st.floats(0, 1e6)), max_size=6))
def test_any_history_of_runs_is_judged(history: Sequence[tuple[Sample | Failure, float]]) -> None:
    """Every run has a state, an event exactly when it changed, and readings that can be stored."""
    which = planned(Counter)
    memory: Memory | None = None
    before = "ok"
    for outcome, at in history:
        judged = run(which, outcome, memory, at=at)
        assert (judged.event is not None) == (judged.state.state != before)
        assert all(math.isfinite(reading.value) for reading in judged.readings)
        assert judged.state.message
        before, memory = judged.state.state, judged.memory
