"""Samples of a snapshot's files."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.backups.drill.sample import Chosen, Sampler, halves, new_seed, parse_seed

FILES = [Chosen(b"/srv/%03d" % number, number * 10) for number in range(100)]


def draw(files: list[Chosen], seed: str, *, count: int = 10, size: int = 10**9) -> list[Chosen]:
    sampler = Sampler(seed, files=count, size=size)
    for file in files:
        sampler.offer(file.path, file.size)
    return sampler.drawn()


def test_a_seed_draws_the_same_files_in_whatever_order_they_come() -> None:
    """So a drill can be repeated after the trees were read in another order."""
    seed = new_seed()
    shuffled = random.sample(FILES, len(FILES))
    assert draw(FILES, seed) == draw(shuffled, seed)
    assert draw(FILES, seed) != draw(FILES, "0" * 15 + ("1" if seed[-1] != "1" else "2"))


def test_every_file_is_drawn_about_as_often_as_every_other() -> None:
    """Of 100 files 10 are drawn with each of 500 seeds: each file some 50 times (standard deviation 6.7)."""
    counts = dict.fromkeys((file.path for file in FILES), 0)
    for number in range(500):
        for file in draw(FILES, f"{number:016x}"):
            counts[file.path] += 1
    assert sum(counts.values()) == 5000
    assert min(counts.values()) > 15
    assert max(counts.values()) < 90


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 2000), st.integers(0, 2**64 - 1))
def test_a_sample_is_never_larger_than_it_may_be(count: int, size: int, seed: int) -> None:
    """Neither in files nor in bytes, and no file is in it twice."""
    found = draw(FILES, f"{seed:016x}", count=count, size=size)
    assert len({file.path for file in found}) == len(found) <= count
    assert sum(file.size for file in found) <= size
    assert found  # one of the files that may be in it fits for sure


def test_files_that_no_sample_can_hold_are_counted() -> None:
    """And leave their place to others."""
    sampler = Sampler(new_seed(), files=5, size=50)
    for file in FILES:
        sampler.offer(file.path, file.size)
    assert sampler.too_large == 94
    assert all(file.size <= 50 for file in sampler.drawn())


def test_halves_are_the_smaller_files_and_the_larger_ones() -> None:
    """An odd one is among the larger, so that one file alone is measured by its bytes."""
    small, large = halves([Chosen(b"/a", 3), Chosen(b"/b", 1), Chosen(b"/c", 2)])
    assert (small, large) == ([Chosen(b"/b", 1)], [Chosen(b"/c", 2), Chosen(b"/a", 3)])
    assert halves([Chosen(b"/a", 3)]) == ([], [Chosen(b"/a", 3)])


def test_what_is_no_seed_is_refused() -> None:
    """In words that say what one is."""
    assert parse_seed("0123456789abcdef") == "0123456789abcdef"
    for text in ("", "xyz", "0" * 17, "0123456789ABCDEF"):
        with pytest.raises(ValueError, match="16 digits"):
            parse_seed(text)
