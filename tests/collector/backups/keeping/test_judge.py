"""What is odd about a snapshot beside what is usual."""

from __future__ import annotations

import random
from datetime import UTC

import pytest
from msgspec.structs import replace

from collector.backups.keeping.alerts import alerts_of
from collector.backups.keeping.facts import Facts, Group
from collector.backups.keeping.judge import FLOOD_UNKNOWN, judge

DAY = 86_400.0
NOW = 1_800_000_000.0 // DAY * DAY
GROUP = Group("host", "web1", ("/srv",))
GIB = 1 << 30


def snapshot(number: int, received: float, **fields: object) -> Facts:
    given = Facts(
        name=f"{number:064x}",
        group=GROUP,
        received=received,
        claimed=received,
        bytes=10 * GIB,
        files=5000,
        changed=GIB // 10,
    )
    return replace(given, **fields)


def month(seed: int = 1) -> list[Facts]:
    """Daily runs that vary as real ones do: sizes by 2 %, changes by half."""
    chance = random.Random(seed)
    return [
        snapshot(
            1000 + day,
            NOW - day * DAY,
            bytes=int(10 * GIB * chance.uniform(0.98, 1.02)),
            files=int(5000 * chance.uniform(0.98, 1.02)),
            changed=int(GIB / 10 * chance.uniform(0.5, 1.5)),
        )
        for day in range(30, 0, -1)
    ]


def kinds(*arrived: Facts, before: list[Facts] | None = None, since: float | None = None) -> list[set[str]]:
    usual_since = {} if since is None else {GROUP: since}
    judged = judge(arrived, month() if before is None else before, usual_since, UTC)
    return [{flag.kind for flag in one.flags} for one in judged]


@pytest.mark.parametrize("seed", range(5))
def test_a_usual_month_has_no_flag(seed: int) -> None:
    """Nor have its first days, when nothing is usual yet."""
    assert kinds(*month(seed), before=[]) == [set()] * 30


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, set()),
        ({"bytes": 8 * GIB}, set()),
        ({"bytes": 6 * GIB}, {"shrunken"}),
        ({"bytes": 0, "files": 0}, {"shrunken"}),
        ({"files": 100}, {"shrunken"}),
        ({"bytes": 20 * GIB, "changed": 10 * GIB}, {"burst"}),
        ({"changed": 10 * GIB}, {"burst"}),
        ({"changed": 2 * GIB}, set()),
        ({"claimed": NOW - 0.9 * DAY}, set()),
        ({"claimed": NOW - 1.1 * DAY}, {"time"}),
        ({"claimed": NOW + 1.1 * DAY}, {"time"}),
        ({"claimed": -1e10}, {"time"}),
        ({"problem": "it is no snapshot"}, {"broken"}),
    ],
)
def test_what_is_far_from_the_usual_is_flagged(fields: dict[str, object], expected: set[str]) -> None:
    """And what is a little off is not."""
    assert kinds(snapshot(1, NOW, **fields)) == [expected]


def test_what_is_flagged_does_not_become_usual_by_coming_again() -> None:
    """A month of empty snapshots is a month of flags, and one alert."""
    empty = [snapshot(number, NOW + number * DAY, bytes=0, files=0, changed=0) for number in range(30)]
    judged = judge(empty, month(), {}, UTC)
    assert all("shrunken" in {flag.kind for flag in one.flags} for one in judged)
    assert [(alert.kind, alert.since) for alert in alerts_of(judged)] == [("shrunken", NOW)]


def test_what_was_acknowledged_is_usual_from_then_on() -> None:
    """A large clean-up is looked at once."""
    small = [snapshot(number, NOW + number * DAY, bytes=GIB, files=500) for number in range(10)]
    judged = judge(small, month(), {}, UTC)
    later = snapshot(50, NOW + 11 * DAY, bytes=GIB, files=500)
    assert kinds(later, before=[*month(), *judged]) == [{"shrunken"}]
    assert kinds(later, before=[*month(), *judged], since=NOW) == [set()]
    assert kinds(replace(later, bytes=0), before=[*month(), *judged], since=NOW) == [{"shrunken"}]


@pytest.mark.parametrize(("a_day", "limit"), [(1, 3), (24, 49)])
def test_more_than_twice_the_usual_number_of_a_day_is_a_flood(a_day: int, limit: int) -> None:
    """What is beyond is flagged, and what is not stays as it is."""
    before = [
        snapshot(1000 + day * 100 + hour, NOW - day * DAY + hour * 3600, changed=0)
        for day in range(20, 0, -1)
        for hour in range(a_day)
    ]
    arrived = [snapshot(number, NOW + number, changed=0) for number in range(100)]
    assert kinds(*arrived, before=before) == [set()] * limit + [{"flood"}] * (100 - limit)


def test_a_new_group_may_send_many_and_not_any_number() -> None:
    """Nobody knows yet what is usual."""
    arrived = [snapshot(number, NOW + number, changed=0) for number in range(FLOOD_UNKNOWN + 5)]
    assert kinds(*arrived, before=[]) == [set()] * FLOOD_UNKNOWN + [{"flood"}] * 5


def test_a_host_cannot_hurry_the_last_by_more_than_twice_its_usual() -> None:
    """A year of one a day, then forty a day for ten days: of each day three count, and the rest is flagged."""
    before = [snapshot(1000 + day, NOW - day * DAY, changed=0) for day in range(365, 0, -1)]
    arrived = [
        snapshot(day * 1000 + number, NOW + day * DAY + number, changed=0)
        for day in range(10)
        for number in range(40)
    ]
    counted = [one for one in judge(arrived, before, {}, UTC) if not one.flags]
    assert len(counted) == 10 * 3


def test_other_groups_show_nothing() -> None:
    """A small job beside a large one is no shrunken one."""
    other = Group("host", "web1", ("/etc",))
    assert kinds(snapshot(1, NOW, group=other, bytes=10, files=1, changed=10)) == [set()]


def test_without_a_password_a_burst_is_seen_by_what_was_sent() -> None:
    """Sizes are not."""
    blind = Group("host")
    before = [replace(one, group=blind, bytes=None, files=None, claimed=None) for one in month()]
    usual = snapshot(1, NOW, group=blind, bytes=None, files=None, claimed=None)
    assert kinds(usual, before=before) == [set()]
    assert kinds(replace(usual, changed=10 * GIB), before=before) == [{"burst"}]
