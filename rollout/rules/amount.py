"""A number of hosts, or a share of them: `3`, `25%`. Pure."""

from __future__ import annotations

import math
import re
from typing import Self

import msgspec

_AMOUNT = re.compile(r"([0-9]{1,6})(%?)")


class Amount(msgspec.Struct, frozen=True):
    """`value` hosts, or that many percent of them."""

    value: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, saying what was expected."""
        match = _AMOUNT.fullmatch(text)
        if match is None or (match[2] and int(match[1]) > 100):
            raise ValueError("a number of hosts such as 3, or a share of them such as 25%")
        return cls(int(match[1]), bool(match[2]))

    def at_least_one(self, total: int) -> int:
        """Of `total` hosts, rounded up: the size of a batch."""
        return max(1, math.ceil(total * self.value / 100) if self.percent else self.value)

    def at_most(self, total: int) -> int:
        """Of `total` hosts, rounded down: what may fail."""
        return total * self.value // 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)
