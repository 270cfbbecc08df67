"""How long to wait after a failure: exponential, with full jitter, so that a fleet does not come back as one.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from collections.abc import Callable

BASE = 1.0
LONGEST = 300.0
SLOW = 3600.0
"""Seconds between attempts while home refuses for a reason that only a person can remove."""

Uniform = Callable[[float, float], float]
"""`random.uniform`, or what a test puts in its place."""


def delay(failures: int, *, uniform: Uniform) -> float:
    """Seconds to wait after so many failures in a row (1 or more): 1 s at most at first, 5 min at most at last."""
    doublings = min(max(failures, 1) - 1, 16)  # 2**16 is past the longest; without it the power would overflow
    return uniform(0.0, min(LONGEST, BASE * 2.0**doublings))


def slow_delay(*, uniform: Uniform) -> float:
    """Seconds to wait where a person has to act first: an hour at most, half of one at least."""
    return uniform(SLOW / 2, SLOW)


def asked_delay(seconds: float, failures: int, *, uniform: Uniform) -> float:
    """Seconds to wait where home asked for it (Retry-After): never less, an hour at most, not all hosts at once."""
    return min(SLOW, max(0.0, seconds)) + delay(failures, uniform=uniform)
