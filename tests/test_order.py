"""The order of tests: nothing is lost, and what takes long comes first for every worker."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.order import arranged


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["", "", "", "fleet", "faults", "drift"]), max_size=60), st.integers(1, 6))
def test_all_are_there_and_groups_stay_together(kinds: list[str], workers: int) -> None:
    """In their own order."""
    items = list(enumerate(kinds))
    found = arranged(items, workers, lambda item: item[1] or None)
    assert sorted(found) == items
    assert [item for item in found if not item[1]] == [item for item in items if not item[1]]
    for kind in {"fleet", "faults", "drift"} & set(kinds):
        places = [place for place, item in enumerate(found) if item[1] == kind]
        assert places == list(range(places[0], places[0] + len(places)))
        assert [item for item in found if item[1] == kind] == [item for item in items if item[1] == kind]


def test_every_worker_begins_with_a_group() -> None:
    """Ten tests for three workers: shares of three, three and four."""
    kinds = ["", "", "a", "", "b", "", "a", "", "", "c"]
    found = arranged(list(enumerate(kinds)), 3, lambda item: item[1] or None)
    assert [kind for _, kind in found] == ["a", "a", "", "b", "", "", "c", "", "", ""]
    assert arranged([], 3, bool) == []
