"""Which files a rule means, and what it is to the engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent.config.logs import LogOptions
from agent.logs.rules.sections import logs_of, old_of, owners_of, rule_of
from kit.errors import ConfigurationError


def rule(where: Path, *patterns: str, **options: Any) -> LogOptions:
    paths = tuple(f"{where}/{pattern}" for pattern in patterns)
    return LogOptions(name="web", paths=paths, **options)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_its_logs(tmp_path: Path) -> None:
    """In order, each once, without what rotations left, folders, links and what is excluded."""
    make(
        tmp_path,
        "b.log",
        "a.log",
        "a.log.1",
        "a.log-20260101",
        "a.log.2.gz",
        "c.log.zst",
        ".hidden",
        "debug.log",
        "é\udce9",
    )
    make(tmp_path, "app-2026-01-01.log")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("a.log")
    found = logs_of(rule(tmp_path, "*", "a.log", "gone.log", "gone-*.log", exclude=("debug*", f"{tmp_path}/b.l?g")))
    assert found == [f"{tmp_path}/{name}" for name in ("a.log", "app-2026-01-01.log", "é\udce9", "gone.log")]


def test_its_old_ones_by_date(tmp_path: Path) -> None:
    """Newest first, however they are compressed; what only looks like one is none."""
    ours = ["a.log-20260103-000000", "a.log-20260102-000000.zst", "a.log-20260101-000000.gz"]
    for number, name in enumerate(ours):
        make(tmp_path, name)
        os.utime(tmp_path / name, (1000 - number, 1000 - number))
    make(
        tmp_path,
        "a.log",
        "a.log-20260101",
        "a.log-2026010x-000000",
        "a.log-20260101-000000.txt",
        "b.log-20260101-000000",
    )
    (tmp_path / "a.log-20250101-000000").symlink_to("/etc/passwd")
    options = rule(tmp_path, "a.log")
    found = old_of(options, rule_of(options), f"{tmp_path}/a.log")
    assert [Path(old.path).name for old in found] == ours
    assert old_of(options, rule_of(options), "/nowhere/a.log") == []


def test_its_old_ones_by_number(tmp_path: Path) -> None:
    """In the order of numbers where their times are the same, in their own folder."""
    (tmp_path / "old").mkdir()
    for name in ("a.log.10.gz", "a.log.9", "a.log.1", "a.log.x", "a.log.2.zst"):
        (tmp_path / "old" / name).touch()
        os.utime(tmp_path / "old" / name, (1000, 1000))
    options = rule(tmp_path, "a.log", names="number", folder="old")
    found = old_of(options, rule_of(options), f"{tmp_path}/a.log")
    assert [Path(old.path).name for old in found] == ["a.log.1", "a.log.2.zst", "a.log.9", "a.log.10.gz"]


def test_what_it_is_to_the_engine(tmp_path: Path) -> None:
    """Owners become numbers; nothing is removed by the engine."""
    options = rule(
        tmp_path, "a.log", owner="root", group="0", mode="0640", su="root:root", compression="gzip", level=9
    )
    made = rule_of(options)
    assert made.create is not None
    assert (made.create.uid, made.create.gid, made.create.mode) == (0, 0, 0o640)
    assert (made.su, made.rotate, made.maxage) == ((0, 0), -1, 0)
    assert (made.compress, made.codec, made.compressext, made.level) == (True, "gzip", ".gz", 9)
    assert rule_of(rule(tmp_path, "a.log", copytruncate=True)).create is None
    assert rule_of(rule(tmp_path, "a.log", copytruncate=True)).keep_tail
    assert rule_of(rule(tmp_path, "a.log", delay=True)).delaycompress
    assert not rule_of(rule(tmp_path, "a.log", delay=True), compress_now=True).delaycompress
    assert not rule_of(rule(tmp_path, "a.log", compression="none")).compress
    for wrong in ({"owner": "no-such"}, {"group": "no-such"}, {"su": "no-such:root"}):
        with pytest.raises(ConfigurationError, match="there is no"):
            rule_of(rule(tmp_path, "a.log", **wrong))


def test_owners(tmp_path: Path) -> None:
    """A log belongs to the first rule that means it and is not turned off."""
    off, first, second = (
        LogOptions(name=name, paths=(f"{tmp_path}/a.log",), enabled=name != "off")
        for name in ("off", "first", "second")
    )
    assert owners_of([off, first, second]) == {f"{tmp_path}/a.log": "first"}
