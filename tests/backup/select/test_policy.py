"""Keep rules, held against the real restic for any list of snapshots."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup.errors import RepositoryError
from backup.format.gotime import Moment, from_datetime
from backup.format.snapshot import Snapshot
from backup.select.policy import UNLIMITED, Policy, apply_policy, decide, parse_count
from backup.select.snapshots import BY_HOST_AND_PATHS, Grouping, Tags
from backup.select.spans import Span
from kit.errors import UsageError
from tests.backup.select.peer import Peer
from tests.peers import every_restic, newest_restic, restic_of_debian

HOUR = 3600 * 10**9
DAY = 24 * HOUR
BASE = from_datetime(datetime(2024, 3, 31, 1, 30, tzinfo=UTC)).nanoseconds
"""Half an hour after the clocks of Berlin went to summer time."""
NOW = from_datetime(datetime(2100, 1, 1, tzinfo=UTC)).nanoseconds
ZONES = ["UTC", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe"]
COUNTS = ["last", "hourly", "daily", "weekly", "monthly", "yearly"]
SPANS = ["within", "within_hourly", "within_daily", "within_weekly", "within_monthly", "within_yearly"]
PARTS = ["keep", "remove"]
TAGS: list[Tags] = [("a",), ("b",), ("a", "b"), ("",), ("", "a")]


def snapshot(nanoseconds: int, offset: int = 0, tags: Tags = (), host: str = "h", id: str = "") -> Snapshot:
    """A snapshot of a tree that nothing looks into."""
    return Snapshot(Moment(nanoseconds, offset), bytes(32), ("/data",), host, tags=tags, id=id)


def at(text: str) -> Snapshot:
    """A snapshot of a time, which is its id too."""
    moment = from_datetime(datetime.fromisoformat(text))
    return snapshot(moment.nanoseconds, moment.offset, id=text)


@st.composite
def snapshots(draw: st.DrawFn) -> list[Snapshot]:
    """In an hour or years apart, on clocks of several zones; no two of one time, for which restic has no order."""
    steps = st.sampled_from([1, HOUR // 2, HOUR, 5 * HOUR, DAY, 7 * DAY, 31 * DAY, 366 * DAY])
    gaps = draw(st.lists(st.tuples(steps, st.integers(1, 3)), min_size=1, max_size=14))
    # Most often the clock is one that some place of ZONES has, so that the rules of that place come in.
    offsets = st.sampled_from([0, 3600, 7200, -25200, -28800, 39600, 37800, 19800, 50400, -43200])
    made = []
    time = BASE + draw(st.integers(-400, 400)) * DAY + draw(st.integers(0, DAY))
    for step, count in gaps:
        tags = draw(st.sampled_from([(), ("a",), ("b",), ("a", "b", "c")]))
        made.append(snapshot(time, draw(offsets), tags))
        time -= step * count
    if draw(st.integers(0, 3)) == 0:
        made.append(snapshot(NOW + draw(st.integers(0, 400)) * DAY))
    return draw(st.permutations(made))


spans = st.builds(Span, st.integers(0, 2), st.integers(0, 14), st.integers(0, 40), st.integers(0, 50))


def policies(rules: list[str], lowest: int = UNLIMITED) -> st.SearchStrategy[Policy]:
    """Policies of a few of the rules; `lowest` is the lowest count."""
    values = {name: st.integers(lowest, 5) if name in COUNTS else spans for name in rules}
    chosen = st.lists(st.sampled_from(rules), unique=True, max_size=4).flatmap(
        lambda names: st.fixed_dictionaries({name: values[name] for name in names})
    )
    tags = st.lists(st.sampled_from(TAGS), max_size=2, unique=True)
    return st.builds(lambda rules, tags: Policy(**rules, tags=tuple(tags)), chosen, tags).filter(bool)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    """One for all examples: making it takes longer than using it."""
    with tempfile.TemporaryDirectory() as name:
        yield Peer(Path(name) / "repository")


def arguments(policy: Policy) -> list[str]:
    """The options of `forget` that say the same."""
    given = []
    for name in [*COUNTS, *SPANS]:
        if value := getattr(policy, name):
            given += [f"--keep-{name.replace('_', '-')}", "unlimited" if value == UNLIMITED else str(value)]
    return given + [f"--keep-tag={','.join(tags)}" for tags in policy.tags]


@settings(max_examples=100)
@given(st.data())
def test_same_as_newest_restic(peer: Peer, data: st.DataObject) -> None:
    """For any snapshots, rules and zone, restic keeps the same for the same reasons."""
    zone = data.draw(st.sampled_from(ZONES))
    policy = data.draw(policies([*COUNTS, *SPANS]))
    made = peer.fill(data.draw(snapshots()))
    decisions = apply_policy(made, policy, now=NOW, local=ZoneInfo(zone))
    kept = [each for each in decisions if each.keep]
    if not kept:
        refused = peer.run(newest_restic(), zone, "forget", "--dry-run", *arguments(policy))
        assert "refusing to delete last snapshot" in refused.stderr
        return
    [group] = peer.forget(newest_restic(), zone, *arguments(policy))
    assert [each["matches"] for each in group["reasons"]] == [each.reasons for each in kept]  # type: ignore[attr-defined]
    assert ids(group["keep"]) == [each.snapshot.id for each in kept]
    assert ids(group["remove"]) == [each.snapshot.id for each in decisions if not each.keep]


@settings(max_examples=60)
@given(st.data())
def test_same_as_older_restic(peer: Peer, data: st.DataObject) -> None:
    """restic 0.14 decides the same, but for the oldest snapshot, which it has no rule for."""
    zone = data.draw(st.sampled_from(ZONES))
    policy = data.draw(policies([*COUNTS, *SPANS], lowest=0))
    made = peer.fill(data.draw(snapshots()))
    groups = peer.forget(restic_of_debian(), zone, *arguments(policy))
    *decisions, oldest = apply_policy(made, policy, now=NOW, local=ZoneInfo(zone))
    kept, removed = ([each for each in ids(groups[0][part]) if each != oldest.snapshot.id] for part in PARTS)
    assert kept == [each.snapshot.id for each in decisions if each.keep]
    assert removed == [each.snapshot.id for each in decisions if not each.keep]


def ids(listed: object) -> list[str]:
    """Of snapshots in restic's JSON."""
    assert listed is None or isinstance(listed, list)
    return [each["id"] for each in listed or []]


@settings(max_examples=25)
@given(st.data())
def test_groups_are_those_of_restic(peer: Peer, data: st.DataObject) -> None:
    """Snapshots are put together by host, paths and tags as restic does it."""
    hosts, paths, tags = ["h", "i", ""], [("/a",), ("/b", "/a"), ("/a", "/b")], [(), ("a",), ("b", "a"), ("a", "b")]
    made = [
        replace(snapshot(BASE + number), hostname=host, paths=path, tags=tag)
        for number, (host, path, tag) in enumerate(
            data.draw(
                st.lists(st.tuples(*map(st.sampled_from, (hosts, paths, tags))), min_size=1, max_size=8)  # type: ignore[arg-type]
            )
        )
    ]
    text = ",".join(data.draw(st.lists(st.sampled_from(["host", "hosts", "path", "paths", "tag", "tags"]))))
    made = peer.fill(made)
    for restic in every_restic():
        groups = peer.forget(restic, "UTC", "--keep-last", "1", "--group-by", text)
        theirs = sorted((ids(group["keep"]), ids(group["remove"])) for group in groups)
        decided = decide(made, Policy(last=1), Grouping.parse(text), now=NOW, local=UTC)
        assert theirs == sorted(
            ([each.id for each in group.kept], [each.id for each in group.removed]) for group in decided
        )


def test_what_would_remove_all_is_refused(peer: Peer) -> None:
    """Without a rule, or with rules that keep nothing of a group, nothing is forgotten; restic refuses the same."""
    made = peer.fill([snapshot(BASE), snapshot(BASE - DAY, tags=("a",), host="i"), snapshot(BASE + DAY)])
    for policy in (Policy(), Policy(tags=(("a",),))):
        with pytest.raises((RepositoryError, UsageError), match="no snapshot is removed"):
            decide(made, policy, BY_HOST_AND_PATHS, now=NOW, local=UTC)
        refused = peer.run(newest_restic(), "UTC", "forget", "--dry-run", *arguments(policy))
        assert refused.returncode == 1


def test_all_is_removed_where_that_is_said(peer: Peer) -> None:
    """Of what a filter has let through, with no rule beside; restic does the same."""
    made = peer.fill([snapshot(BASE, host="i"), snapshot(BASE - DAY, host="i")])
    [group] = decide(made, Policy(), BY_HOST_AND_PATHS, now=NOW, local=UTC, may_remove_all=True)
    assert group.removed == made
    [theirs] = peer.forget(newest_restic(), "UTC", "--unsafe-allow-remove-all", "--host=i")
    assert ids(theirs["remove"]) == [each.id for each in made]
    with pytest.raises(RepositoryError, match="no snapshot is removed"):
        decide(made, Policy(tags=(("a",),)), BY_HOST_AND_PATHS, now=NOW, local=UTC, may_remove_all=True)


def test_the_day_is_that_of_the_snapshots_own_clock() -> None:
    """Half past eleven at night in Delhi is another day than an hour later, wherever they are looked at."""
    late, early = at("2024-05-05T23:30:00+05:30"), at("2024-05-06T00:30:00+05:30")
    decisions = apply_policy([late, early], Policy(daily=5), now=NOW, local=ZoneInfo("America/Los_Angeles"))
    assert [each.reasons for each in decisions] == [["daily snapshot"], ["daily snapshot"]]
    assert [each.snapshot for each in decisions] == [early, late]


def test_the_oldest_is_kept_while_a_rule_is_not_used_up() -> None:
    """So that a history grows to its full length."""
    made = [at("2024-05-06T10:00:00Z"), at("2024-05-06T09:00:00Z"), at("2024-05-06T08:00:00Z")]
    decisions = apply_policy(made, Policy(daily=3), now=NOW, local=UTC)
    assert [each.reasons for each in decisions] == [["daily snapshot"], [], ["oldest daily snapshot"]]


def test_a_span_counts_from_the_newest_that_is_not_in_the_future() -> None:
    """A clock that was wrong once does not make everything old."""
    made = [at("2031-01-01T00:00:00Z"), at("2024-05-06T10:00:00Z"), at("2024-05-01T10:00:00Z")]
    now = at("2024-05-07T00:00:00Z").time_ns
    decisions = apply_policy(made, Policy(within=Span(days=2)), now=now, local=UTC)
    assert [each.keep for each in decisions] == [True, True, False]


def test_snapshots_of_one_time_are_in_the_order_of_their_ids() -> None:
    """What is kept does not depend on the order in which they were listed."""
    twins = [snapshot(BASE, id="b"), snapshot(BASE, id="a"), snapshot(BASE, id="c")]
    for listed in (twins, twins[::-1]):
        decisions = apply_policy(listed, Policy(last=1), now=NOW, local=UTC)
        assert [(each.snapshot.id, each.keep) for each in decisions] == [("a", True), ("b", False), ("c", False)]


def test_no_snapshots() -> None:
    """Nothing is decided of nothing."""
    assert apply_policy([], Policy(last=1), now=NOW, local=UTC) == []


def test_counts() -> None:
    """A number, or unlimited; a negative number is refused, as newer versions of restic do."""
    assert (parse_count("7"), parse_count("0"), parse_count("unlimited")) == (7, 0, UNLIMITED)


@given(st.one_of(st.sampled_from(["-1", "", "+1", "1.5", "all", "٣", "1 ", "9" * 30]), st.text()))
def test_no_counts(text: str) -> None:
    """Anything else is refused in a sentence."""
    try:
        assert parse_count(text) >= 0
    except UsageError as error:
        assert "is no number of snapshots" in str(error)


def test_a_policy_says_what_it_keeps() -> None:
    """In words, for a person."""
    policy = Policy(last=3, yearly=UNLIMITED, within=Span(days=2), within_weekly=Span(1, 2), tags=(("a", "b"),))
    assert str(policy) == "keep 3 last, all yearly, weekly within 1y2m, all within 2d, all with tags [a, b]"
    assert str(Policy()) == "keep nothing"
