"""Places that only so many may hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.rules.places import Places, given_back, taken


def test_a_place_that_is_not_renewed_is_free_again() -> None:
    """After its time, or where the clock was set back by more than any hold could last."""
    held = taken({}, "a", 1, now=100.0, duration=10.0)
    assert held == {"a": 110.0}
    assert taken(held, "b", 1, now=109.0, duration=10.0) is None
    assert taken(held, "b", 2, now=109.0, duration=10.0) == {"a": 110.0, "b": 119.0}
    assert taken(held, "a", 1, now=109.0, duration=10.0) == {"a": 119.0}
    assert taken(held, "b", 1, now=110.0, duration=10.0) == {"b": 120.0}
    assert taken({"a": 5000.0}, "b", 1, now=100.0, duration=10.0) == {"b": 110.0}
    assert given_back(held, "a") == {}
    assert given_back(held, "b") == held


STEPS = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.integers(0, 6)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, places=st.integers(1, 3))
def test_never_more_hold_a_place_than_may(steps: list[tuple[str, bool, int]], places: int) -> None:
    """Whoever asks, gives back, or says nothing any more; and who is refused was refused because all are held."""
    held: Places = {}
    now = 0.0
    for holder, gives_back, passed in steps:
        now += passed
        if gives_back:
            held = given_back(held, holder)
            continue
        after = taken(held, holder, places, now=now, duration=10.0)
        holding = {name for name, until in held.items() if until > now}
        assert (after is None) == (holder not in holding and len(holding) >= places)
        held = held if after is None else after
        assert sum(until > now for until in held.values()) <= places
