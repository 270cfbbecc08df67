"""Which base backup and which WAL lead to a moment."""

from __future__ import annotations

import pytest

from agent.backups.wal.batch import Segment, is_due, spans
from agent.backups.wal.plan import Kind, Target, plan_restore, reach
from agent.backups.wal.status import standing
from backup.errors import RepositoryError
from backup.select.wal import Chain, chains
from backup.select.wal_names import Branch, Span, segment_name
from tests.backup.select.test_wal import SIZE, SYSTEM, base, wal

SECOND = 10**9
BRANCH = Branch(SYSTEM, 2, 1, 6 * SIZE + 100).tag()


def chain(*more: object) -> Chain:
    """Base backups at 10 s and 50 s, and segments 2 to 9, two in each snapshot, until 20, 40, 60 and 80 s."""
    there = [base("A", 10 * SECOND, 2), base("B", 50 * SECOND, 6)]
    there += [wal(str(each), (each + 1) * 20 * SECOND, 2 * each + 2, 2 * each + 3) for each in range(4)]
    return next(iter(chains([*there, *more]).values()))  # type: ignore[list-item]


def planned(target: Target, of: Chain | None = None) -> tuple[str, str]:
    """(base backup, the last digits of the segments' numbers)."""
    plan = plan_restore(of or chain(), target)
    return plan.base.snapshot.id, "".join(each.name[-1] for each in plan.segments)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(), ("B", "6789")),
        (Target(Kind.IMMEDIATE), ("B", "6")),
        (Target(Kind.TIME, 35 * SECOND), ("A", "23456789")),
        (Target(Kind.TIME, 55 * SECOND), ("B", "6789")),
        (Target(Kind.TIME, 55 * SECOND, not_after=49 * SECOND), ("A", "23456789")),
        (Target(Kind.LSN, 7 * SIZE + 5), ("B", "678")),
        (Target(Kind.LSN, 6 * SIZE), ("A", "234567")),
        (Target(Kind.LSN, 9 * SIZE + 5), ("B", "6789")),
        (Target(Kind.NAME, 6 * SIZE, "point"), ("A", "2345")),
        (Target(Kind.NAME, 6 * SIZE + 400, "point"), ("B", "6")),
        (Target(Kind.XID, 700), ("B", "6789")),
        (Target(Kind.XID, 2**32 + 700), ("B", "6789")),
    ],
)
def test_the_newest_base_backup_before_the_moment_leads_to_it(target: Target, expected: tuple[str, str]) -> None:
    """The base backup is the newest that was done before, and WAL goes no further than it must."""
    assert planned(target) == expected


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target(Kind.TIME, 9 * SECOND), "no base backup of cluster .* was done before that: the oldest, snapshot A"),
        (Target(Kind.XID, 699), "no base backup"),
        (Target(Kind.TIME, 81 * SECOND), "ends before that time, and what is there goes to 1970-01-01 00:01:20Z"),
        (Target(Kind.LSN, 10 * SIZE), "ends before 0/A000000"),
        (Target(Kind.NAME, 10 * SIZE + 1), "ends before 0/A000001"),
        (Target(timeline=7), "there is no timeline 7 of cluster .*; there are: 1"),
    ],
)
def test_what_cannot_be_restored_is_said_before_anything_is_done(target: Target, reason: str) -> None:
    """A moment before the first base backup, or behind the last segment, is refused with what there is."""
    with pytest.raises(RepositoryError, match=reason):
        plan_restore(chain(), target)


def test_a_gap_is_told_with_how_far_it_goes() -> None:
    """WAL that is missing between a base backup and the moment keeps the restore from beginning."""
    there = [base("A", 10 * SECOND, 2), wal("0", 20 * SECOND, 2, 3), wal("1", 40 * SECOND, 6, 7)]
    (found,) = chains(there).values()
    names = f"{segment_name(1, 4, SIZE)} to {segment_name(1, 5, SIZE)}"
    with pytest.raises(RepositoryError, match=f"WAL is missing: {names} .*goes to 1970-01-01 00:00:20Z"):
        plan_restore(found, Target())
    assert planned(Target(Kind.TIME, 15 * SECOND), found) == ("A", "23")
    short = chains([base("A", 10 * SECOND, 2), wal("0", 20 * SECOND, 2, 2), wal("1", 40 * SECOND, 6, 7)])
    assert planned(Target(Kind.TIME, 15 * SECOND), short[SYSTEM]) == ("A", "2"), (
        "what is behind the moment may be gone"
    )
    (newer,) = chains([*there, base("B", 45 * SECOND, 6)]).values()
    assert planned(Target(), newer) == ("B", "67")


def test_recovery_goes_along_the_timelines() -> None:
    """After a restore the newest timeline is followed, from where it left the one before; the old one is there for
    who names it."""
    of = chain(
        wal("4", 100 * SECOND, 6, 8, BRANCH, timeline=2),
    )
    plan = plan_restore(of, Target())
    assert plan.base.snapshot.id == "A", "the other base backup was made on a timeline that was left before it"
    assert [(each.name[7], each.name[-1]) for each in plan.segments] == [
        *(("1", digit) for digit in "2345"),
        *(("2", digit) for digit in "678"),
    ]
    assert planned(Target(timeline=1), of) == ("B", "6789")


def test_the_window_shows_which_moments_there_are() -> None:
    """Base backups whose WAL meets make one window; a gap ends it, and the next base backup begins another."""
    assert [(window.since, window.until, window.gap) for window in standing(chain()).windows] == [(10, 80, None)]
    (gapped,) = chains(
        [
            base("A", 10 * SECOND, 2),
            wal("0", 20 * SECOND, 2, 3),
            wal("1", 60 * SECOND, 6, 7),
            base("B", 50 * SECOND, 6),
        ]
    ).values()
    first, second = standing(gapped).windows
    assert (first.since, first.until, first.gap and (first.gap.first, first.gap.last)) == (10, 20, (4, 5))
    assert (second.since, second.until, second.gap) == (50, 60, None)
    assert reach(gapped, gapped.bases[0]).until == 20


def test_segments_that_follow_on_each_other_are_one_span() -> None:
    """A batch is told by its runs, with the time of the last write; clusters and timelines are apart."""
    batch = [
        Segment(SYSTEM, segment_name(timeline, number, SIZE), SIZE, number * SECOND)
        for timeline, number in ((1, 3), (1, 2), (1, 5), (2, 6))
    ]
    assert spans([*batch, Segment(5, segment_name(1, 4, SIZE), SIZE, 9)]) == [
        Span(5, SIZE, 1, 4, 4, 0),
        Span(SYSTEM, SIZE, 1, 2, 3, 3),
        Span(SYSTEM, SIZE, 1, 5, 5, 5),
        Span(SYSTEM, SIZE, 2, 6, 6, 6),
    ]


@pytest.mark.parametrize(
    ("arrived", "due"), [([95.0, 96.0, 97.0], True), ([95.0], False), ([40.0], True), ([500.0], True)]
)
def test_enough_segments_or_an_old_one_are_saved(arrived: list[float], due: bool) -> None:
    """Three, or one that waits for a minute, or one from a clock that was set back."""
    assert is_due(arrived, count=3, within=60, now=100.0) is due
