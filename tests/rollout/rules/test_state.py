"""A rollout's state is what its journal amounts to."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.events import (
    Before,
    Ended,
    Event,
    GateBegan,
    HostBegan,
    HostEnded,
    HostVersions,
    Resumed,
    Settings,
    Started,
    WaveBegan,
    WaveEnded,
    WindowOpened,
)
from rollout.protocol import Health
from rollout.rules.amount import Amount
from rollout.rules.state import fold
from wire.rollout import MAX_PACKAGES, RolloutRecord, misplaced

WAVES = [("canary", ["a"]), ("batch 1", ["b", "c"])]


def started(max_failures: int = 0) -> Started:
    """Three hosts in two waves."""
    chosen = Settings(
        deploy="patch", file="/patch.py", inventory="all.py", folder="/", max_failures=Amount(max_failures)
    )
    return Started(time=1.0, id="20261101-000000-abcdef", who="me@here", hostward="1", settings=chosen, waves=WAVES)


def done(host: str) -> HostEnded:
    return HostEnded(time=9.0, host=host, state="done", changed=2)


def failed(host: str) -> HostEnded:
    return HostEnded(time=9.0, host=host, state="failed", message="no", outcome="rolled_back")


def wave(number: int, *ends: HostEnded, ok: bool = True) -> list[Event]:
    """A wave from its beginning to its end."""
    return [
        WaveBegan(time=2.0, wave=number),
        *(HostBegan(time=3.0, host=end.host) for end in ends),
        *ends,
        GateBegan(time=4.0, wave=number),
        WaveEnded(time=5.0, wave=number, ok=ok),
    ]


def test_what_could_not_be_asked_before_is_asked_again() -> None:
    """Until it could be; then it stays."""
    away, well = Health(host="a", reachable=False), Health(host="a", reachable=True, installed=True)
    state = fold([started(), Before(health=[away], at_home={})])
    state.apply(Before(health=[well], at_home={}))
    state.apply(Before(health=[away], at_home={}))
    assert state.before == {"a": well}


def test_a_rollout_is_told_as_home_knows_it() -> None:
    """With each wave, its window, each host, and its versions."""
    window = WindowOpened(wave=0, window="w1")
    versions = HostVersions(host="a", before={"shop": "1"}, after={"shop": "2"})
    events: list[Event] = [
        started(),
        WaveBegan(time=2.0, wave=0),
        window,
        HostBegan(time=3.0, host="a"),
        versions,
        done("a"),
    ]
    record = msgspec.json.decode(msgspec.json.encode(fold(events).record), type=RolloutRecord)
    assert misplaced(record) is None
    assert (record.state, [one.state for one in record.waves]) == ("running", ["running", "waiting"])
    assert record.waves[0].window == "w1"
    assert (record.hosts["a"].state, record.hosts["a"].changed, record.hosts["a"].after) == ("done", 2, {"shop": "2"})
    assert (record.hosts["b"].state, record.hosts["b"].wave) == ("waiting", 1)
    state = fold(
        [*events, WaveEnded(time=5.0, wave=0, ok=True), *wave(1, done("b"), done("c")), Ended(time=6.0, state="done")]
    )
    assert (state.left(), state.record.state, state.record.finished) == ([], "done", 6.0)


def test_what_home_is_told_is_no_longer_than_it_takes() -> None:
    """It would refuse the whole record for a path, a group or an upgrade of a distribution."""
    begun = started()
    names = [f"p{number:05}" for number in range(MAX_PACKAGES + 100)]
    begun = msgspec.structs.replace(
        begun,
        settings=msgspec.structs.replace(begun.settings, deploy="/" + "d" * 300 + "/patch.py", inventory="i" * 300),
        waves=[("b" * 200, ["a"]), *begun.waves[1:]],
        known_as={"a": "a.example.net"},
    )
    versions = HostVersions(host="a", before=dict.fromkeys(names), after=dict.fromkeys(reversed(names), "2"))
    told = fold([begun, WaveBegan(time=2.0, wave=0), versions]).record_for_home
    record = msgspec.json.decode(msgspec.json.encode(told), type=RolloutRecord)
    assert misplaced(record) is None
    assert record.deploy.endswith("d/patch.py")
    host = record.hosts["a.example.net"]
    assert sorted(host.before) == sorted(host.after) == names[:MAX_PACKAGES]


def test_what_was_not_done_is_done_when_it_is_resumed() -> None:
    """Hosts that failed, that ran when all was killed, and a gate that was not open."""
    assert fold([started()]).left() == [0, 1]
    assert fold([started(), *wave(0, done("a"))]).left() == [1]
    killed = fold([started(), WaveBegan(time=2.0, wave=0), HostBegan(time=3.0, host="a")])
    assert (killed.left(), killed.undone(0)) == ([0, 1], ["a"])
    gate = fold([started(), *wave(0, done("a"))[:-1]])
    assert (gate.left(), gate.undone(0)) == ([0, 1], [])
    some = fold([started(1), *wave(0, done("a")), *wave(1, failed("b"), done("c"))])
    assert (some.left(), some.undone(1), some.failures(), some.too_many()) == ([1], ["b"], ["b"], False)


def test_failures_that_are_rerun_do_not_stop_the_waves_before_them() -> None:
    """After a resume, only what failed since then counts: the others have their next chance before them."""
    before = [started(1), *wave(0, failed("a")), *wave(1, failed("b"), failed("c"), ok=False)]
    stopped = fold([*before, Ended(time=6.0, state="failed")])
    assert stopped.too_many()
    assert stopped.record.hosts["c"].outcome == "rolled_back"
    again = fold([*before, Ended(time=6.0, state="failed"), Resumed(time=7.0, who="me"), *wave(0, done("a"))])
    assert (again.record.state, again.too_many(), again.left(), again.undone(1)) == (
        "running",
        False,
        [1],
        ["b", "c"],
    )


def test_what_was_there_before_stays_what_was_there_before() -> None:
    """A rerun finds what the first run left, which nobody would want to go back to or to compare with."""
    first = Health(host="a", reachable=True, installed=True, running=True)
    then = Health(host="a", reachable=False)
    state = fold(
        [
            started(),
            Before(health=[first]),
            HostVersions(host="a", before={"shop": "1"}, after={"shop": None}),
            Resumed(time=7.0, who="me"),
            Before(health=[then]),
            HostVersions(host="a", before={"shop": None}, after={"shop": "2"}),
        ]
    )
    assert state.before == {"a": first}
    assert (state.hosts["a"].before, state.hosts["a"].after) == ({"shop": "1"}, {"shop": "2"})


@pytest.mark.parametrize("events", [[], [Resumed(time=1.0, who="me")], [started(), started()]])
def test_a_journal_has_one_beginning(events: list[Event]) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match=r"beginning|started"):
        fold(events)


HOSTS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, 1)
EVENTS = st.lists(
    st.one_of(
        st.builds(Resumed, time=st.just(7.0), who=st.just("me")),
        st.builds(WaveBegan, time=st.just(2.0), wave=NUMBERS),
        st.builds(HostBegan, time=st.just(3.0), host=HOSTS),
        st.builds(HostEnded, time=st.just(4.0), host=HOSTS, state=st.sampled_from(["done", "failed", "unreachable"])),
        st.builds(GateBegan, time=st.just(5.0), wave=NUMBERS),
        st.builds(WaveEnded, time=st.just(6.0), wave=NUMBERS, ok=st.booleans()),
        st.builds(Ended, time=st.just(8.0), state=st.sampled_from(["paused", "failed", "done"])),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS)
def test_a_host_is_left_exactly_when_its_last_end_was_not_well(events: list[Event]) -> None:
    """Wherever the runner was killed: what ran, failed or waited is run again, and what is done never is."""
    state = fold([started(), *events])
    for host in "abc":
        told = [event for event in events if isinstance(event, HostBegan | HostEnded) and event.host == host]
        well = bool(told) and isinstance(told[-1], HostEnded) and told[-1].state == "done"
        number = 0 if host == "a" else 1
        assert (host in state.undone(number)) == (not well)
        assert well or number in state.left()
    assert msgspec.json.decode(msgspec.json.encode(state.record), type=RolloutRecord) == state.record
