"""What of PostgreSQL's archives is there, and what of it is kept."""

from __future__ import annotations

from datetime import UTC

import pytest

from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot
from backup.select.policy import Policy, apply_policy, decide
from backup.select.snapshots import Grouping
from backup.select.wal import chains, is_wal, needless
from backup.select.wal_names import (
    BASE_MARK,
    MARK,
    Base,
    Branch,
    Span,
    lsn,
    parse_lsn,
    parse_segment,
    parse_tag,
    segment_name,
)

MIB = 2**20
SIZE = 16 * MIB
SYSTEM = 7433201944213432321
DAY = 86400 * 10**9


def snapshot(id: str, time: int, *tags: str) -> Snapshot:
    return Snapshot(Moment(time), tree=bytes(32), paths=("/x",), hostname="db", tags=tags, id=id)


def base(id: str, time: int, place: int, *, timeline: int = 1, system: int = SYSTEM) -> Snapshot:
    """A base backup at the begin of a segment of this number."""
    return snapshot(id, time, BASE_MARK, Base(system, timeline, place * SIZE + 40, place * SIZE + 256, 700).tag())


def wal(id: str, time: int, first: int, last: int, *more: str, timeline: int = 1, system: int = SYSTEM) -> Snapshot:
    return snapshot(id, time, MARK, Span(system, SIZE, timeline, first, last, time // 10**9).tag(), *more)


def ids(snapshots: list[Snapshot]) -> str:
    return "".join(each.id for each in snapshots)


@pytest.mark.parametrize(
    "said",
    [
        Base(SYSTEM, 3, 0x12_0000_0028, 0x12_0000_0100, 2**33 + 5),
        Span(SYSTEM, 64 * MIB, 2, 7, 5000, 1_700_000_000),
        Branch(SYSTEM, 3, 2, 0xAB_1234_5678),
    ],
)
def test_tags_say_what_they_were_made_of(said: Base | Span | Branch) -> None:
    """Each tag reads back as what it says, and holds no comma, which would split it."""
    assert parse_tag(said.tag()) == said and "," not in said.tag()


@pytest.mark.parametrize(
    "tag",
    [
        "nightly",
        "wal-1-16MiB-000000010000000000000005-000000010000000000000003-until-1",
        "wal-1-16MiB-000000010000000000000005-000000020000000000000006-until-1",
        "wal-1-17MiB-000000010000000000000005-000000010000000000000006-until-1",
        "wal-1-0MiB-000000010000000000000005-000000010000000000000006-until-1",
        "base-1-1-0/0/0-0/1-5",
    ],
)
def test_other_tags_say_nothing(tag: str) -> None:
    """Tags of people, and such as no run makes, are left alone."""
    assert parse_tag(tag) is None


def test_names_are_postgresqls() -> None:
    """Segments and places are named as PostgreSQL names them (its documentation of pg_walfile_name)."""
    assert lsn(parse_lsn("16/B374D848")) == "16/B374D848"
    assert segment_name(1, parse_lsn("16/B374D848") // SIZE, SIZE) == "0000000100000016000000B3"
    assert parse_segment("0000000100000016000000B3", SIZE) == (1, parse_lsn("16/B374D848") // SIZE)
    assert segment_name(1, 4096, MIB) == "000000010000000100000000"


def test_wal_stays_from_the_oldest_base_backup_on() -> None:
    """WAL that a base backup leads on through stays, older WAL goes, and so does what is between two clusters."""
    all_there = [
        wal("a", 1, 1, 3), wal("b", 2, 4, 5), base("B", 3, 5), wal("c", 4, 6, 9), base("C", 5, 9), wal("d", 6, 10, 11)
    ]  # fmt: skip
    assert ids(needless(all_there)) == "a"
    assert ids(needless([each for each in all_there if each.id != "B"])) == "ab"


def test_wal_stays_without_a_base_backup_and_for_another_cluster() -> None:
    """While a cluster has no base backup, one may be under way; that of another cluster says nothing."""
    assert needless([wal("a", 1, 1, 3), base("B", 2, 50, system=5)]) == []


def test_wal_of_a_timeline_goes_with_the_base_backups_that_lead_to_it() -> None:
    """WAL of a timeline that was left, behind where it was left, is of no use to a base backup of the new one."""
    branch = Branch(SYSTEM, 2, 1, 6 * SIZE + 100).tag()
    old, left = wal("a", 1, 1, 5), wal("b", 2, 6, 9)
    new, later = wal("c", 3, 6, 9, branch, timeline=2), wal("d", 4, 10, 12, branch, timeline=2)
    before, after = base("B", 1, 2), base("C", 3, 7, timeline=2)
    assert needless([old, left, new, later, before, after]) == []
    assert ids(needless([old, left, new, later, after])) == "ab"


def test_a_timeline_of_unknown_origin_stays() -> None:
    """Where the history file is lost nobody knows that a base backup does not lead there."""
    assert needless([base("B", 1, 2), wal("c", 3, 6, 9, timeline=3)]) == []


def test_rules_count_base_backups_and_wal_follows() -> None:
    """`keep last 1` of a job's snapshots keeps the newest base backup, and all WAL from there on; WAL never takes a
    place that rules count."""
    there = [base("A", DAY, 2), wal("b", 2 * DAY, 2, 5), base("C", 3 * DAY, 5), wal("d", 4 * DAY, 5, 7)]
    decisions = apply_policy(there, Policy(last=1), now=5 * DAY, local=UTC)
    assert [(each.snapshot.id, each.keep) for each in decisions] == [
        ("d", True),
        ("C", True),
        ("b", True),
        ("A", False),
    ]

    (group,) = decide(there, Policy(last=1), Grouping(), now=5 * DAY, local=UTC, everything=there)
    assert ids(group.kept) == "dCb" and ids(group.removed) == "A"
    there.append(base("E", 5 * DAY, 7))
    (group,) = decide(there, Policy(last=1), Grouping(), now=6 * DAY, local=UTC, everything=there)
    assert ids(group.kept) == "Ed" and ids(group.removed) == "CbA"


def test_base_backups_out_of_sight_keep_their_wal() -> None:
    """What is up for decision may be a part of the repository: all of it says what is needed."""
    there = [base("A", DAY, 2), wal("b", 2 * DAY, 2, 5), base("C", 3 * DAY, 5), wal("d", 4 * DAY, 5, 7)]
    (group,) = decide([there[1]], Policy(last=1), Grouping(), now=5 * DAY, local=UTC, everything=there)
    assert ids(group.kept) == "b"
    (group,) = decide([there[1]], Policy(last=1), Grouping(), now=5 * DAY, local=UTC, everything=there[1:])
    assert ids(group.kept) == "b"
    (group,) = decide(
        [there[1]], Policy(last=1), Grouping(), now=5 * DAY, local=UTC, everything=[*there[1:2], base("E", 1, 8)]
    )
    assert ids(group.removed) == "b"


def test_chains_know_what_is_there() -> None:
    """Runs of segments with what is between them, the way to a timeline, and which base backups lead there."""
    branch = Branch(SYSTEM, 2, 1, 6 * SIZE + 100).tag()
    (chain,) = chains(
        [
            wal("a", 1, 1, 3),
            wal("b", 2, 3, 5),
            wal("c", 3, 8, 9),
            wal("d", 4, 6, 7, branch, timeline=2),
            base("B", 1, 2),
        ]
    ).values()
    assert chain.covered(1) == [(1, 5), (8, 9)] and chain.covered(2) == [(6, 7)]
    assert chain.lineage(2) == [(1, 0), (2, 6 * SIZE + 100)]
    assert chain.leads_to(chain.bases[0].base, 2) and chain.last_segment() == segment_name(2, 7, SIZE)
    assert not chain.leads_to(Base(SYSTEM, 1, 7 * SIZE, 7 * SIZE + 1, 1), 2)
    assert chain.histories[2].id == "d" and all(map(is_wal, (wal("a", 1, 1, 3),)))
