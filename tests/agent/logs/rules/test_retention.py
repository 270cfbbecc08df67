"""Which old logs go, and why."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.config.logs import LogOptions
from agent.logs.rules.retention import Old, over_budget, surplus, to_free
from kit.units import Duration, Size

DAY = 86400.0
NOW = 100_000 * DAY


def rule(**options: Any) -> LogOptions:
    return LogOptions(name="web", paths=("/var/log/web.log",), **options)


def aged(*days: float, size: int = 100) -> list[Old]:
    """Old ones of such ages, given newest first."""
    return [Old(f"/l-{age}", size, NOW - age * DAY) for age in days]


def test_by_class() -> None:
    """Application and error logs are kept for 30 days, performance logs for 90, audit logs for 7 years."""
    old = aged(1, 29, 31, 89, 91, 2556, 2558)

    def gone(**options: object) -> list[tuple[str, str]]:
        return [(removal.old.path, removal.reason) for removal in surplus(rule(**options), old, NOW)]

    month = "it is older than 30d, as for the class"
    everything_after = ["/l-2558", "/l-2556", "/l-91", "/l-89", "/l-31"]
    assert gone() == [(path, f"{month} application") for path in everything_after]
    assert gone(retention="error") == [(path, f"{month} error") for path in everything_after]
    assert [path for path, _ in gone(retention="performance")] == ["/l-2558", "/l-2556", "/l-91"]
    assert gone(retention="audit") == [("/l-2558", "it is older than 2557d, as for the class audit")]
    assert gone(max_age=Duration(80 * DAY))[-1] == ("/l-89", "it is older than 80d")
    assert gone(count=100) == []


def test_by_count() -> None:
    """The newest are kept; one that is about to be made counts."""
    old = aged(1, 2, 3)
    assert [removal.old.path for removal in surplus(rule(count=2), old, NOW)] == ["/l-3"]
    assert [removal.old.path for removal in surplus(rule(count=2), old, NOW, coming=1)] == ["/l-3", "/l-2"]
    assert len(surplus(rule(count=0), old, NOW, coming=1)) == 3
    assert surplus(rule(count=2), old, NOW)[0].reason == "more than 2 would be kept"


def test_by_size() -> None:
    """The newest that fit are kept, and nothing that is older than one that does not fit."""
    old = [Old("/a", 60, NOW), Old("/b", 60, NOW - 1), Old("/c", 30, NOW - 2)]
    assert [removal.old.path for removal in surplus(rule(total_size=Size(100)), old, NOW)] == ["/c", "/b"]
    assert [removal.old.path for removal in surplus(rule(total_size=Size(120)), old, NOW)] == ["/c"]
    assert surplus(rule(total_size=Size(100)), old, NOW)[0].reason == "the old ones take more than 100B"


def test_to_keep_the_disk_free() -> None:
    """The oldest of all go until there is room, and none while there is."""
    old = aged(3, 1, 2)
    assert to_free(rule(), old, 0) == []
    options = rule(keep_free=Size(1000))
    assert [removal.old.path for removal in to_free(options, old, 850)] == ["/l-3", "/l-2"]
    assert to_free(options, old, 1000) == []
    assert to_free(options, old, 0)[0].reason == "less than 1kB are free (0B)"


def test_over_the_budget() -> None:
    """The oldest of all go until files and journal are within it."""
    old = aged(3, 1, 2)
    assert over_budget(rule(), old, 2**60) == []
    options = rule(budget=Size(1000))
    assert [removal.old.path for removal in over_budget(options, old, 1001)] == ["/l-3"]
    assert over_budget(options, old, 1000) == []
    assert len(over_budget(options, old, 9999)) == 3


OLD = st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 100)), max_size=20).map(
    lambda pairs: [
        Old(f"/{number}", size, NOW - age * DAY)
        for number, (size, age) in enumerate(sorted(pairs, key=lambda pair: pair[1]))
    ]
)


@given(OLD, st.none() | st.integers(0, 10), st.none() | st.floats(1, 50), st.none() | st.integers(0, 5000))
def test_bounds_hold(old: list[Old], count: int | None, days: float | None, total: int | None) -> None:
    """What remains keeps every bound, nothing goes without a reason, and a second look finds nothing more."""
    options = rule(
        count=count,
        max_age=None if days is None else Duration(days * DAY),
        total_size=None if total is None else Size(total),
    )
    removals = surplus(options, old, NOW)
    assert [removal.old for removal in removals] == [one for one in reversed(old) if one in {r.old for r in removals}]
    kept = [one for one in old if one not in {removal.old for removal in removals}]
    limit = options.kept_days
    assert count is None or len(kept) <= count
    assert limit is None or all(NOW - one.modified <= limit * DAY for one in kept)
    assert total is None or sum(one.size for one in kept) <= total
    assert surplus(options, kept, NOW) == []
    if total is None:
        allowed = [one for one in old if limit is None or NOW - one.modified <= limit * DAY]
        assert kept == (allowed if count is None else [one for one in allowed if old.index(one) < count])
