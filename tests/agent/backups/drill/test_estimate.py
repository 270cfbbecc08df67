"""What the whole takes, from what a sample took."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.backups.drill.estimate import Measured, estimate
from agent.backups.drill.sample import Sampler, halves


def measured(sizes: list[int], per_file: float, per_byte: float) -> Measured:
    return Measured(len(sizes), sum(sizes), len(sizes) * per_file + sum(sizes) * per_byte)


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 10**9), min_size=2, max_size=60),
    st.integers(1, 20),
    st.floats(1e-6, 1e-1),
    st.floats(1e-10, 1e-6),
)
def test_the_estimate_is_never_too_short_where_files_and_bytes_cost_what_they_cost(
    sizes: list[int], count: int, per_file: float, per_byte: float
) -> None:
    """Whatever part of the files was measured, also where the largest never are."""
    sample = sorted(sizes)[:count]
    small, large = sample[: len(sample) // 2], sample[len(sample) // 2 :]
    found = estimate(
        1.5,
        measured(small, per_file, per_byte),
        measured(large, per_file, per_byte),
        files=len(sizes),
        size=sum(sizes),
    )
    truth = 1.5 + measured(sizes, per_file, per_byte).seconds
    assert found >= truth * (1 - 1e-9)


def test_a_sample_of_everything_is_what_was_measured() -> None:
    """Nothing is added to it."""
    small, large = measured([1, 2, 3], 0.01, 1e-3), measured([10, 20, 30], 0.01, 1e-3)
    assert estimate(2.0, small, large, files=6, size=66) == pytest.approx(2.0 + small.seconds + large.seconds)


def test_ten_times_the_same_takes_ten_times_as_long() -> None:
    """Beside the start, which is there once."""
    small, large = measured([10] * 5, 0.01, 1e-3), measured([10] * 5, 0.01, 1e-3)
    assert estimate(2.0, small, large, files=100, size=1000) == pytest.approx(2.0 + 10 * 2 * small.seconds)


def test_large_files_that_were_left_out_do_not_count_as_many_small_ones() -> None:
    """A thousand files of some KiB and one of 100 GiB, which no sample holds."""
    sizes = [1000 + number * 100 for number in range(1000)]
    sampler = Sampler("0" * 16, files=200, size=2**30)
    for number, size in enumerate(sizes):
        sampler.offer(b"/%d" % number, size)
    small, large = (measured([chosen.size for chosen in half], 0.001, 1e-8) for half in halves(sampler.drawn()))
    giant = 100 * 2**30
    found = estimate(0.0, small, large, files=1001, size=sum(sizes) + giant)
    truth = 1001 * 0.001 + (sum(sizes) + giant) * 1e-8
    assert truth <= found
    assert found < truth + giant / (large.bytes / large.files) * 0.001 * 1.2


def test_a_snapshot_of_empty_files_has_its_time_too() -> None:
    """Nothing is divided by zero."""
    assert estimate(1.0, Measured(0, 0, 0.0), Measured(2, 0, 0.2), files=10, size=0) == pytest.approx(2.0)
    assert estimate(1.0, Measured(0, 0, 0.0), Measured(0, 0, 0.0), files=0, size=0) == 1.0
