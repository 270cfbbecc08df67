"""Sizes, shares and groups as options have them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.select.sizes import Group, Share, Size, parse_size, parse_subset, parse_unused_limit
from kit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("0", 0), ("10b", 10), ("64k", 65536), ("10M", 10 * 2**20), ("1g", 2**30), ("2T", 2 * 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    """A suffix is a power of 1024, in either case."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1.5k", "1kb", "1KiB", "1 M", "1P", "9999999T", "1_0", "٣", "\u212a", "1\n"]
)
def test_no_sizes(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="is no size: expected a number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "subset"),
    [
        ("1/5", Group(1, 5)),
        ("256/256", Group(256, 256)),
        ("5%", Share(5)),
        ("2.5%", Share(2.5)),
        ("100%", Share(100)),
        ("500M", Size(500 * 2**20)),
        ("1b", Size(1)),
    ],
)
def test_subsets(text: str, subset: Group | Share | Size) -> None:
    """A group of packs, a share of them, or so much of them."""
    assert parse_subset(text) == subset


@pytest.mark.parametrize(
    "text", ["", "0/5", "6/5", "1/257", "1/", "/2", "1/2/3", "+1/2", "0%", "101%", "-1%", "NaN%", "1e1%", "500", "0M"]
)
def test_no_subsets(text: str) -> None:
    """Anything else is refused, as is a number without its unit, which could be either."""
    with pytest.raises(UsageError, match="is no part of the data: expected"):
        parse_subset(text)


@given(st.integers(1, 256), st.lists(st.binary(), max_size=20))
def test_each_pack_is_in_one_group(of: int, seeds: list[bytes]) -> None:
    """All groups together read all data once."""
    for seed in seeds:
        pack = sha256(seed).digest()
        assert sum(Group(number, of).holds(pack) for number in range(1, of + 1)) == 1


def test_limits_of_unused_data() -> None:
    """A share, a size, or none."""
    assert parse_unused_limit("5%") == Share(5)
    assert parse_unused_limit("0") == Size(0)
    assert parse_unused_limit("1G") == Size(2**30)
    assert parse_unused_limit("unlimited") is None
    for text in ("100%", "", "-1", "all"):
        with pytest.raises(UsageError, match="is no limit: expected"):
            parse_unused_limit(text)


@given(st.sampled_from([parse_size, parse_subset, parse_unused_limit]), st.text(st.sampled_from("0159.kMgT%/-b ٣²")))
def test_any_text(parse: Callable[[str], object], text: str) -> None:
    """Whatever is written, it is read or refused in a sentence."""
    try:
        parse(text)
    except UsageError as error:
        assert str(error).startswith(f'"{text}" is no ')
