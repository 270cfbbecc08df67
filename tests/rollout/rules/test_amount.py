"""Numbers of hosts, and shares of them."""

from __future__ import annotations

import pytest

from rollout.rules.amount import Amount


@pytest.mark.parametrize(
    ("text", "least", "most"), [("3", 3, 3), ("0", 1, 0), ("25%", 3, 2), ("1%", 1, 0), ("100%", 9, 9), ("0%", 1, 0)]
)
def test_an_amount_is_a_number_or_a_share(text: str, least: int, most: int) -> None:
    """Of nine hosts: batches are rounded up, for they must end; what may fail is rounded down."""
    amount = Amount.parse(text)
    assert str(amount) == text
    assert (amount.at_least_one(9), amount.at_most(9)) == (least, most)


@pytest.mark.parametrize("text", ["", "-1", "101%", "1.5", "3 %", "%", "a", "1000000000"])
def test_anything_else_is_refused(text: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match="a number of hosts such as 3, or a share"):
        Amount.parse(text)
