"""Maintenance windows and leases: what is in force at a time. Pure; times are in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wire.window import Window


def in_force(window: Window, now: float) -> bool:
    """Whether it is open."""
    return window.closed is None and window.opened <= now < window.until


def latest(windows: Iterable[Window], now: float) -> Window | None:
    """Of those in force, the one that ends last."""
    return max((window for window in windows if in_force(window, now)), key=lambda window: window.until, default=None)


def taken(held: Mapping[str, float], holder: str, places: int, *, now: float, duration: float) -> float | None:
    """Until when `holder` has a place, given who holds places until when; None where all are others'."""
    others = sum(until > now for name, until in held.items() if name != holder)
    return None if others >= places else now + duration
