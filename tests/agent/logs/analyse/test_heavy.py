"""Counting what comes often."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse.heavy import Heavy

keys = st.lists(st.integers(0, 40).map(lambda n: b"%d" % n), max_size=200)


@settings(max_examples=60)
@given(st.lists(keys, max_size=6), st.integers(1, 12))
def test_counts_are_within_their_bound(parts: list[list[bytes]], capacity: int) -> None:
    """Whatever is counted in whatever parts: never too high, too low by `missed` at most, which has its own bound."""
    whole = Heavy(capacity)
    for part in parts:
        counted = Heavy(capacity)
        for key in part:
            counted.add([key])
            counted.settle()
        whole.merge(counted)
    true = Counter(key for part in parts for key in part)
    assert whole.total == true.total()
    assert len(whole.counts) <= 2 * capacity
    assert whole.missed <= true.total() / (capacity + 1)
    for key in true:
        assert whole.counts.get(key, 0) <= true[key] <= whole.counts.get(key, 0) + whole.missed


@settings(max_examples=30)
@given(keys)
def test_few_keys_are_counted_exactly(names: list[bytes]) -> None:
    """As long as they fit."""
    heavy = Heavy(50)
    heavy.weigh(names, [2] * len(names))
    assert not heavy.settle()
    assert heavy.missed == 0
    assert heavy.counts == {name: 2 * count for name, count in Counter(names).items()}


def test_the_heaviest_come_first_and_then_by_name() -> None:
    heavy = Heavy()
    heavy.update([(b"b", 2), (b"c", 5), (b"a", 2)])
    assert heavy.top(2) == [(b"c", 5), (b"a", 2)]
