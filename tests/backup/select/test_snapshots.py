"""Which snapshots are meant."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup.errors import RepositoryError
from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot
from backup.select.snapshots import (
    BY_HOST_AND_PATHS,
    Grouping,
    GroupKey,
    SnapshotFilter,
    find_snapshot,
    find_snapshots,
    group_snapshots,
    newest_first,
    newest_of_each,
    parse_at,
)
from kit.errors import UsageError
from tests.backup.select.peer import Peer
from tests.peers import every_restic

BERLIN = ZoneInfo("Europe/Berlin")


def made(
    id: str, day: int, host: str = "h", paths: tuple[str, ...] = ("/a",), tags: tuple[str, ...] = ()
) -> Snapshot:
    """A snapshot of a day of 1970."""
    return Snapshot(Moment(day * 86_400 * 10**9), bytes(32), paths, host, tags=tags, id=id)


SOME = [
    made("ab12", 3),
    made("ab34", 1, host="i"),
    made("cd56", 2, tags=("x", "y")),
    made("ef78", 4, paths=("/b", "/a"), tags=("x",)),
]


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    """One for all examples."""
    with tempfile.TemporaryDirectory() as name:
        yield Peer(Path(name) / "repository")


@settings(max_examples=30)
@given(st.data())
def test_filters_are_those_of_restic(peer: Peer, data: st.DataObject) -> None:
    """Hosts, tags and paths let through what restic lets through."""
    tags = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True).map(tuple)
    paths = st.sampled_from([("/a",), ("/b", "/a"), ("/b",)])
    snapshots = data.draw(
        st.lists(st.builds(made, st.just(""), st.integers(0, 9), st.sampled_from("hi"), paths, tags), max_size=6)
    )
    snapshots = peer.fill(snapshots)
    hosts = data.draw(st.lists(st.sampled_from(["h", "i", "j"]), max_size=2))
    wanted_tags = data.draw(st.lists(st.sampled_from(["x", "x,y", "y, x", "", "x,", ",y"]), max_size=2))
    wanted_paths = data.draw(st.lists(st.sampled_from(["/a", "/b", "/c"]), max_size=2))
    wanted = SnapshotFilter.parse(hosts, wanted_tags, wanted_paths)
    options = [f"--host={host}" for host in hosts] + [f"--path={path}" for path in wanted_paths]
    options += [f"--tag={each}" for each in wanted_tags]
    for restic in every_restic():
        run = peer.run(restic, "UTC", "snapshots", "--json", *options)
        theirs = [each["id"] for each in json.loads(run.stdout) or []]
        assert sorted(theirs) == sorted(each.id for each in find_snapshots(snapshots, [], wanted))


def test_what_a_filter_takes() -> None:
    """Paths are made absolute and clean; an empty host alone asks for none."""
    wanted = SnapshotFilter.parse([""], [" x , y"], ["b/../a/", "//c"], folder="/home")
    assert wanted == SnapshotFilter((), (("x", "y"),), ("/home/a", "/c"))
    assert str(wanted) == "tag x,y, path /home/a, path /c"
    assert wanted
    assert not SnapshotFilter()


@pytest.mark.parametrize(
    ("name", "id", "subfolder"),
    [
        ("cd56", "cd56", ""),
        ("c", "cd56", ""),
        ("ab1", "ab12", ""),
        ("latest", "ef78", ""),
        ("latest:", "ef78", "/"),
        ("latest:/etc/../home/x/", "ef78", "/home/x"),
        ("cd:../../a:b", "cd56", "/a:b"),
    ],
)
def test_names(name: str, id: str, subfolder: str) -> None:
    """An id, its beginning, or the latest; what follows a colon is a folder that cannot lead out."""
    found = find_snapshot(SOME, name)
    assert (found.snapshot.id, found.subfolder) == (id, subfolder)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("ab", RepositoryError, r'^2 snapshots have ids that begin with "ab" \(ab12, ab34\): say more of it$'),
        ("ff", RepositoryError, '^there is no snapshot whose id begins with "ff"$'),
        ("AB1", RepositoryError, '^there is no snapshot whose id begins with "AB1"$'),
        ("", UsageError, "^an empty text names no snapshot"),
        (":/etc", UsageError, "^an empty text names no snapshot"),
    ],
)
def test_names_of_none(name: str, error: type[Exception], message: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=message):
        find_snapshot(SOME, name)


def test_the_latest_of_what_is_wanted() -> None:
    """The filter and the time choose; where they leave nothing, the message has them."""
    assert find_snapshot(SOME, "latest", SnapshotFilter(hosts=("i",))).snapshot.id == "ab34"
    assert find_snapshot(SOME, "latest", at=3 * 86_400 * 10**9).snapshot.id == "ab12"
    assert find_snapshot(SOME, "latest", at=3 * 86_400 * 10**9 - 1).snapshot.id == "cd56"
    with pytest.raises(RepositoryError, match=r"^there is no snapshot \(host j, not after the given time\)$"):
        find_snapshot(SOME, "latest", SnapshotFilter(hosts=("j",)), at=0)
    with pytest.raises(RepositoryError, match=r"^there is no snapshot$"):
        find_snapshot([], "latest")
    with pytest.raises(UsageError, match='a time chooses among snapshots, but "cd56" is one'):
        find_snapshot(SOME, "cd56", at=0)


def test_several_names() -> None:
    """Each snapshot once, in the order of the names; a folder cannot be meant."""
    assert [each.id for each in find_snapshots(SOME, ["cd", "latest", "ab1", "ef78"])] == ["cd56", "ef78", "ab12"]
    with pytest.raises(UsageError, match="expected a snapshot as a whole"):
        find_snapshots(SOME, ["latest:/etc"])


def test_groups() -> None:
    """By what is asked for, in whatever order their paths and tags are listed; sorted."""
    twin = replace(SOME[3], id="ef99", paths=("/a", "/b"))
    groups = group_snapshots([*SOME, twin], BY_HOST_AND_PATHS)
    assert [(group.key, [each.id for each in group.snapshots]) for group in groups] == [
        (GroupKey("h", ("/a",)), ["ab12", "cd56"]),
        (GroupKey("h", ("/a", "/b")), ["ef78", "ef99"]),
        (GroupKey("i", ("/a",)), ["ab34"]),
    ]
    assert [str(group.key) for group in groups][1] == "host h; paths /a, /b"
    [all_of_them] = group_snapshots(SOME, Grouping.parse(""))
    assert (str(all_of_them.key), all_of_them.snapshots) == ("all snapshots", SOME)
    assert [group.key.tags for group in group_snapshots(SOME, Grouping.parse("tag"))] == [(), ("x",), ("x", "y")]
    with pytest.raises(UsageError, match='cannot be grouped by "size": expected host, paths or tags'):
        Grouping.parse("host,size")


def test_order() -> None:
    """The newest first; the newest of each host and paths."""
    assert [each.id for each in newest_first(SOME)] == ["ef78", "ab12", "cd56", "ab34"]
    assert [each.id for each in newest_of_each(SOME, 1)] == ["ef78", "ab12", "ab34"]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2026-11-22", "2026-11-23T00:00:00+01:00"),
        ("2026-11-22 14:30", "2026-11-22T14:31:00+01:00"),
        ("2026-11-22T14:30:05", "2026-11-22T14:30:06+01:00"),
        ("2026-07-22 14:30:59", "2026-07-22T14:31:00+02:00"),
        ("2026-11-22 14:30Z", "2026-11-22T14:31:00+00:00"),
        ("2026-11-22 14:30:05 +05:30", "2026-11-22T14:30:06+05:30"),
        ("2026-11-22t14:30-0800", "2026-11-22T14:31:00-08:00"),
        ("2026-11-22Z", "2026-11-23T00:00:00+00:00"),
        ("2026-10-25 02:30", "2026-10-25T02:31:00+01:00"),  # which the clock shows twice
        ("0001-01-01", "0001-01-02T00:00:00+00:53:28"),
    ],
)
def test_times(text: str, after: str) -> None:
    """A time lasts as long as its last figure says, so that what is shown of a snapshot finds it."""
    end = (datetime.fromisoformat(after) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert parse_at(text, BERLIN) == end - 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "2026-11-22 25:00",
        "2026-11-22 14",
        "2026-11-22 14:30:60",
        "2026-11-22 14:30+25:00",
        "22.11.2026",
        "9999-12-31",
        "0000-01-01",
        "2026-11-22\n",
        "٢٠٢٦-11-22",
    ],
)
def test_no_times(text: str) -> None:
    """Anything else is refused with examples."""
    with pytest.raises(UsageError, match=r'is no time: expected one as "2026-11-22"'):
        parse_at(text, BERLIN)


@given(st.one_of(st.text(st.sampled_from("0129-: TZ+zt٣"), max_size=25), st.text()))
def test_any_time(text: str) -> None:
    """Whatever is written, it is read or refused."""
    try:
        assert isinstance(parse_at(text, timezone.utc), int)  # noqa: UP017
    except UsageError as error:
        assert text in str(error)


@given(st.text(st.sampled_from("abcdef12:/.latest"), max_size=12))
def test_any_name(name: str) -> None:
    """Whatever is written, it is one snapshot and a folder in it, or refused."""
    try:
        found = find_snapshot(SOME, name)
    except (RepositoryError, UsageError):
        return
    assert found.subfolder == "" or (found.subfolder.startswith("/") and ".." not in found.subfolder.split("/"))
