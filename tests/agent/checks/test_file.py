"""Files that must be there, or must not."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks import file as module
from agent.checks.contract import CheckError, Floor, Threshold
from agent.checks.file import File, FileOptions, Found, derive
from agent.checks.runner import Judged, Plan, judge
from agent.paths import System
from tests.agent.checks.tree import NOW, collect, said, values
from tests.require import require_root


def of(*paths: Path | str, **options: Any) -> File:
    return File(FileOptions(type="file", paths=tuple(map(str, paths)), **options))


def judged(check: File) -> Judged:
    plan = Plan("f", "file", check, check.options)
    return judge(plan, collect(check), None, now=NOW, ticks=0, duration=0)


def make(folder: Path, **ages: int) -> None:
    """Files of 10, 20, … bytes that are so many seconds old."""
    for number, (name, age) in enumerate(ages.items(), start=1):
        (folder / name).write_bytes(b"x" * 10 * number)
        os.utime(folder / name, (NOW, NOW - age))


def test_number_age_and_size(tmp_path: Path) -> None:
    """Of all files that the patterns match, together and each once."""
    make(tmp_path, a=100, b=50, c=900)
    sample = collect(of(tmp_path / "[ab]", tmp_path / "*"))
    assert values(sample) == {
        "file_count": 3,
        "file_newest_age_seconds": 50,
        "file_oldest_age_seconds": 900,
        "file_smallest_bytes": 10,
        "file_largest_bytes": 30,
        "file_size_bytes": 60,
    }
    assert sample.summary == "3 files, the newest 50s old, 60B"


def test_one_that_is_not_there_is_critical(tmp_path: Path) -> None:
    """By its name as by a pattern."""
    for path in (tmp_path / "x", tmp_path / "*", tmp_path / "no" / "such" / "*"):
        result = judged(of(path))
        said = f"files at {path}: 0, critical at or below 0"
        assert (result.state.state, result.state.message) == ("critical", said)


def test_one_that_must_not_be_there_is_critical(tmp_path: Path) -> None:
    """And named; of many the first ones."""
    check = of(tmp_path / "*.crash", absent=True)
    assert judged(check).state.message == f"{tmp_path}/*.crash is not there"
    make(tmp_path, **{f"{letter}.crash": 1 for letter in "abcde"})
    assert said(collect(check)) == [
        ("critical", f"{tmp_path}/a.crash is there"),
        ("critical", f"{tmp_path}/b.crash is there"),
        ("critical", f"{tmp_path}/c.crash is there"),
        ("critical", "so it is with 2 more"),
    ]
    assert judged(check).state.state == "critical"


def test_each_figure_has_its_bounds(tmp_path: Path) -> None:
    """A backup that is late, and one that is empty."""
    make(tmp_path, dump=100_000)
    dump = tmp_path / "{dump}"
    (tmp_path / "dump").rename(dump)
    check = of(dump, newest=Threshold(warning=93_600), smallest=Floor(critical=1000))
    assert judged(check).state.message == (
        f"the smallest of {dump} has 10B, critical at or below 1000B; "
        f"the newest of {dump} is 1d3h46m40s old, warning from 1d2h"
    )


def test_only_files_of_the_kind_asked_for_count(tmp_path: Path) -> None:
    """Links are followed, unless links are what is asked for."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    expected = {None: 5, "file": 2, "directory": 1, "link": 2, "pipe": 1, "socket": 1, "device": 0}
    for kind, count in expected.items():
        assert values(collect(of(tmp_path / "*", kind=kind)))["file_count"] == count
    assert values(collect(of("/dev/null", kind="device")))["file_count"] == 1


def test_owner_group_and_mode_are_as_they_should_be(tmp_path: Path) -> None:
    """A mode says the most that is allowed: what allows less is well."""
    make(tmp_path, key=1, open=1)
    (tmp_path / "key").chmod(0o400)
    (tmp_path / "open").chmod(0o644)
    me = pwd.getpwuid(os.geteuid()).pw_name
    check = of(tmp_path / "*", owner=me, group=str(os.getegid()), mode="0640")
    assert said(collect(check)) == [("critical", f"{tmp_path}/open (0644) allows more than 0640")]
    other = of(tmp_path / "key", owner=str(os.geteuid() + 1), group=str(os.getegid() + 1))
    assert said(collect(other)) == [
        ("critical", f"{tmp_path}/key does not belong to {os.geteuid() + 1}"),
        ("critical", f"{tmp_path}/key is not of the group {os.getegid() + 1}"),
    ]


@pytest.mark.parametrize("option", ["owner", "group"])
def test_a_user_that_there_is_not_is_unknown(tmp_path: Path, option: str) -> None:
    """Nothing can belong to it."""
    make(tmp_path, x=1)
    with pytest.raises(CheckError, match=r"there is no (user|group) nobody-at-all on this host"):
        collect(of(tmp_path / "x", **{option: "nobody-at-all"}))


def test_folders_below_are_looked_through_where_it_is_asked_for(tmp_path: Path) -> None:
    """By two stars."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    make(tmp_path / "a" / "b", x=1)
    assert values(collect(of(tmp_path / "**" / "x")))["file_count"] == 1
    assert values(collect(of(tmp_path / "*" / "x")))["file_count"] == 0


def test_ten_thousand_files_are_counted_and_too_many_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that somebody fills does not hold up the check for ever."""
    for number in range(10_000):
        (tmp_path / str(number)).touch()
    assert values(collect(of(tmp_path / "*")))["file_count"] == 10_000
    monkeypatch.setattr(module, "MOST", 9_999)
    sample = collect(of(tmp_path / "*"))
    assert values(sample)["file_count"] == 9_999
    assert said(sample) == [("unknown", "more than 9999 files: no more than that are looked at")]


def test_what_nobody_may_see_is_unknown_and_not_absent(place: Path) -> None:
    """A folder that cannot be read may hold anything."""
    require_root()
    closed = place / "closed"
    closed.mkdir(0o700)
    make(closed, x=1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setgroups([])
            os.setuid(65534)
            refused = 0
            for path in (closed / "x", closed / "*"):
                try:
                    collect(of(path))
                except CheckError as error:
                    refused += "Permission denied" in str(error)
            code = 0 if refused == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_root_of_the_tree_is_heeded(tmp_path: Path) -> None:
    """A fixture tree stands in for the host."""
    make(tmp_path, x=1)
    assert values(collect(of("/x"), System(tmp_path)))["file_count"] == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["file", "directory"]),
            st.floats(0, 2 * NOW),
            st.integers(0, 2**60),
        ),
        max_size=20,
    )
)
def test_figures_are_in_their_order(files: list[tuple[Any, float, int]]) -> None:
    """The smallest is no larger than the largest, and no age is negative, whatever the clocks say."""
    found = [Found(f"/{n}", kind, modified, size, 0, 0, 0o644) for n, (kind, modified, size) in enumerate(files)]
    got = values(derive(found, FileOptions(paths=("/*",)), NOW))
    assert got["file_count"] == len(files)
    if files:
        assert 0 <= got["file_newest_age_seconds"] <= got["file_oldest_age_seconds"]
    if any(kind == "file" for kind, _, _ in files):
        assert got["file_smallest_bytes"] <= got["file_largest_bytes"] <= got["file_size_bytes"]
