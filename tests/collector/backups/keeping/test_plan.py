"""What stays is what the policy says of the times of receipt, whatever hosts claim."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backup.select.policy import Policy
from backup.select.spans import Span
from backup.select.wal_names import BASE_MARK, MARK, Base, Branch
from backup.select.wal_names import Span as Span_
from collector.backups.keeping.facts import Facts, Flag, Group
from collector.backups.keeping.plan import Rules, plan

DAY = 86_400
NOW = 1_800_000_000.0
GROUP = Group("host", "web1", ("/srv",))
BERLIN = ZoneInfo("Europe/Berlin")

PERIODS: dict[str, Callable[[datetime], object]] = {
    "hourly": lambda time: (time.date(), time.hour),
    "daily": lambda time: time.date(),
    "weekly": lambda time: time.isocalendar()[:2],
    "monthly": lambda time: (time.year, time.month),
    "yearly": lambda time: time.year,
}


def snapshot(number: int, received: float, group: Group = GROUP, **fields: object) -> Facts:
    return replace(Facts(name=f"{number:064x}", group=group, received=received), **fields)


def kept(snapshots: list[Facts], rules: Rules, now: float = NOW) -> set[str]:
    (group,) = plan(snapshots, rules, {}, now=now, zone=BERLIN)
    return {one.snapshot.name for one in group.decisions if one.keep}


def by_hand(snapshots: list[Facts], counts: dict[str, int], newest: int, hold: float) -> set[str]:
    """The same rules once more, one by one, as restic's manual words them."""
    ordered = sorted(snapshots, key=lambda one: (-one.received, one.name))
    stay = {one.name for one in ordered[:newest]} | {one.name for one in ordered if NOW - one.received < hold}
    for rule, count in counts.items():
        if rule == "last":
            stay |= {one.name for one in ordered[:count]}
            continue
        first: dict[object, str] = {}
        for one in ordered:
            first.setdefault(PERIODS[rule](datetime.fromtimestamp(one.received, BERLIN)), one.name)
        stay |= set(list(first.values())[:count])
        if count > len(first):
            stay.add(ordered[-1].name)  # a rule that is not used up keeps the oldest too
    if counts.get("last", 0) > len(ordered):
        stay.add(ordered[-1].name)
    return stay


receipts = st.lists(st.integers(0, 400 * DAY), min_size=1, max_size=40)
rule_counts = st.dictionaries(st.sampled_from(["last", *PERIODS]), st.integers(1, 12), min_size=1, max_size=4)


@given(receipts, rule_counts, st.integers(1, 4), st.integers(0, 20 * DAY))
@settings(max_examples=60, deadline=None)
def test_what_stays_is_the_policy_for_any_receipts(
    ages: list[int], counts: dict[str, int], newest: int, hold: int
) -> None:
    """Nothing more and nothing less, beside the newest and those that are held."""
    snapshots = [snapshot(number, NOW - age) for number, age in enumerate(ages)]
    rules = Rules(Policy(**counts), newest, hold)
    assert kept(snapshots, rules) == by_hand(snapshots, counts, newest, hold)


@given(receipts, rule_counts, st.lists(st.integers(0, 400 * DAY), max_size=20))
@settings(max_examples=40, deadline=None)
def test_what_is_flagged_moves_nothing_and_stays(ages: list[int], counts: dict[str, int], flagged: list[int]) -> None:
    """However many there are, and whenever they came."""
    rules = Rules(Policy(**counts), 2, 0.0)
    good = [snapshot(number, NOW - age) for number, age in enumerate(ages)]
    bad = [
        snapshot(1000 + number, NOW - age, flags=(Flag("flood", "too many"),)) for number, age in enumerate(flagged)
    ]
    assert kept(good + bad, rules) == kept(good, rules) | {one.name for one in bad}


@given(receipts, rule_counts)
@settings(max_examples=40, deadline=None)
def test_what_a_host_claims_says_nothing(ages: list[int], counts: dict[str, int]) -> None:
    """Two sets that came at the same times are kept alike."""
    rules = Rules(Policy(**counts), 1, 0.0)
    honest = [snapshot(number, NOW - age, claimed=NOW - age) for number, age in enumerate(ages)]
    lying = [replace(one, claimed=float(number), bytes=0, files=0) for number, one in enumerate(honest)]
    assert kept(honest, rules) == kept(lying, rules)


def test_groups_are_weighed_by_themselves() -> None:
    """Snapshots of other hosts, names and paths take no place."""
    rules = Rules(Policy(last=1), 1, 0.0)
    groups = [GROUP, Group("other", "web1", ("/srv",)), Group("host", "web2", ("/srv",)), Group("host", "web1", ())]
    snapshots = [
        snapshot(10 * number + age, NOW - age, group) for number, group in enumerate(groups) for age in range(3)
    ]
    plans = plan(snapshots, rules, {}, now=NOW, zone=UTC)
    assert {each.group for each in plans} == set(groups)
    assert all([one.keep for one in each.decisions] == [True, False, False] for each in plans)


def test_a_group_with_an_alert_loses_nothing_and_others_do() -> None:
    """What would go is still said."""
    rules = Rules(Policy(last=1), 1, 0.0)
    other = Group("other")
    snapshots = [snapshot(number, NOW - number, group) for group in (GROUP,) for number in range(3)]
    snapshots += [snapshot(10 + number, NOW - number, other) for number in range(3)]
    plans = {each.group: each for each in plan(snapshots, rules, {GROUP: "alert 1"}, now=NOW, zone=UTC)}
    assert plans[GROUP].removed == [] and plans[GROUP].stopped == "alert 1"
    assert sum(not one.keep for one in plans[GROUP].decisions) == 2
    assert len(plans[other].removed) == 2


def test_without_a_policy_nothing_goes_but_what_was_released_and_never_was_whole() -> None:
    """That is said of each."""
    rules = Rules(Policy(), 1, 0.0)
    broken = (Flag("broken", "no snapshot"),)
    snapshots = [
        snapshot(1, NOW - 900 * DAY),
        snapshot(2, NOW - 1, flags=broken),
        snapshot(3, NOW - 2, flags=broken, released=True),
    ]
    (group,) = plan(snapshots, rules, {}, now=NOW, zone=UTC)
    assert [one.snapshot.name[-1] for one in group.decisions if not one.keep] == ["3"]
    assert all(one.reasons for one in group.decisions)


def test_a_released_one_counts_by_its_receipt() -> None:
    """It takes its place among the others."""
    rules = Rules(Policy(daily=1), 1, 0.0)
    odd = snapshot(1, NOW, flags=(Flag("time", "odd"),))
    good = snapshot(2, NOW - 60)
    assert kept([odd, good], rules) == {odd.name, good.name}
    assert kept([replace(odd, released=True), good], rules) == {odd.name}


@pytest.mark.parametrize(("age", "stays"), [(29, True), (31, False)])
def test_within_counts_from_the_newest_received(age: int, stays: bool) -> None:
    """A host that is silent loses nothing by that."""
    rules = Rules(Policy(within=Span(days=30)), 1, 0.0)
    long_ago = NOW - 500 * DAY
    snapshots = [snapshot(1, long_ago), snapshot(2, long_ago - age * DAY)]
    assert (snapshots[1].name in kept(snapshots, rules)) is stays


MIB = 1 << 20


def wal(number: int, received: float, segment: int, timeline: int = 1, *more: str) -> Facts:
    """A snapshot of one segment of WAL."""
    span = Span_(1, 16 * MIB, timeline, segment, segment, int(received))
    return snapshot(number, received, Group("host", "web1", ("/wal",)), tags=(MARK, span.tag(), *more))


def base(number: int, received: float, segment: int) -> Facts:
    """A base backup that needs the WAL from this segment on."""
    place = segment * 16 * MIB
    tag = Base(1, 1, place, place + 100, 1000).tag()
    return snapshot(number, received, Group("host", "web1", ("/base",)), tags=(BASE_MARK, tag))


def gone(snapshots: list[Facts], rules: Rules, stopped: dict[Group, str] | None = None) -> set[str]:
    plans = plan(snapshots, rules, stopped or {}, now=NOW, zone=UTC)
    return {one.snapshot.name for each in plans for one in each.removed}


def archive() -> tuple[list[Facts], list[Facts]]:
    """Twenty days of WAL, a segment a day, and a base backup every five days."""
    pieces = [wal(day, NOW - (20 - day) * DAY, day) for day in range(20)]
    return pieces, [base(100 + day, NOW - (20 - day) * DAY + 3600, day) for day in range(0, 20, 5)]


def test_wal_stays_as_long_as_a_base_backup_that_stays_needs_it() -> None:
    """Rules count base backups; WAL takes no place in them, and goes with the base backups that need it."""
    pieces, bases = archive()
    rules = Rules(Policy(last=2), 1, 0.0)
    going = gone(pieces + bases, rules)
    assert going & {one.name for one in bases} == {one.name for one in bases[:2]}
    # The oldest base backup that stays begins with segment 10; what came on the day before it may be its own.
    assert going & {one.name for one in pieces} == {one.name for one in pieces[:10]}
    assert gone(pieces, rules) == set()
    assert gone(pieces + bases, rules, {Group("host", "web1", ("/wal",)): "alert 1"}) == {
        one.name for one in bases[:2]
    }


def test_a_host_cannot_make_wal_needless_by_what_it_says_of_it_later() -> None:
    """A newer base backup, and a story of timelines by which nothing leads on."""
    pieces, bases = archive()
    later = [wal(50 + segment, NOW - 5 * DAY + segment, segment, 2) for segment in range(15, 18)]
    rules = Rules(Policy(last=2), 1, 0.0)
    before = gone(pieces + bases + later, rules)
    lies = [
        wal(90, NOW - 60, 500, 3, Branch(1, 2, 1, 0).tag(), Branch(1, 3, 2, 0).tag()),
        replace(base(91, NOW - 50, 900), group=Group("host", "elsewhere")),
    ]
    assert gone(pieces + bases + later + lies, rules) == before
    assert not before & {one.name for one in later}
