"""What requests ask for: paths and ranges, whatever is written in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup.stores.contract import FileKind
from collector.backups.targets import Part, Target, parse, part_of

NAME = "ab" * 32


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/backup/web1/", Target("web1")),
        ("/backup/web1/config", Target("web1", FileKind.CONFIG, "config")),
        ("/backup/web1/data/", Target("web1", FileKind.PACK)),
        (f"/backup/web1/data/{NAME}", Target("web1", FileKind.PACK, NAME)),
        (f"/backup/web1/locks/{NAME}", Target("web1", FileKind.LOCK, NAME)),
        ("/backup/my%20host/keys/", Target("my host", FileKind.KEY)),
        ("/backup/..%2F../config", Target("../..", FileKind.CONFIG, "config")),
    ],
)
def test_paths_of_the_protocol(path: str, target: Target) -> None:
    """What names the repository is only compared, so it may be anything."""
    assert parse(path.encode()) == target


@pytest.mark.parametrize(
    "path",
    [
        "/backup/",
        "/backup//config",
        "/backup/web1",
        "/backup/web1/config/",
        "/backup/web1/data",
        f"/backup/web1/data/{NAME[:2]}/{NAME}",
        f"/backup/web1/data/{NAME.upper()}",
        f"/backup/web1/data/{NAME}/",
        f"/backup/web1/data/{NAME}\n",
        f"/backup/web1/data/..%2f{NAME}",
        "/backup/web1/data/../config",
        "/backup/web1/tmp/",
        f"/backup/web1/%64ata/{NAME}",
        "/backup/%ff/config",
        "/backup/../backup/web1/config",
        "/backup/" + "a" * 801 + "/config",
        "/BACKUP/web1/config",
    ],
)
def test_what_is_no_path_of_the_protocol(path: str) -> None:
    """Nothing is normalised, cut or guessed."""
    assert parse(path.encode()) is None


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="/backup.%2fdatconfig0", max_size=120).map(str.encode)))
def test_no_path_leads_to_a_file_of_another_name(path: bytes) -> None:
    """Whatever comes: a name is 64 hexadecimal digits, or `config`."""
    found = parse(path)
    if found is not None and found.name is not None:
        assert found.name == "config" or (len(found.name) == 64 and set(found.name) <= set("0123456789abcdef"))


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, Part(0, 100, True)),
        ("bytes=0-0", Part(0, 1, False)),
        ("bytes=10-19", Part(10, 10, False)),
        ("bytes=90-200", Part(90, 10, False)),
        ("bytes=99-", Part(99, 1, False)),
        ("bytes=-5", Part(95, 5, False)),
        ("bytes=-500", Part(0, 100, False)),
        ("bytes=100-", None),
        ("bytes=-0", None),
        ("bytes=5-3", Part(0, 100, True)),
        ("bytes=0-1,5-6", Part(0, 100, True)),
        ("bytes=a-b", Part(0, 100, True)),
        ("items=0-1", Part(0, 100, True)),
        ("bytes=" + "9" * 30 + "-", Part(0, 100, True)),
        ("bytes=-", Part(0, 100, True)),
    ],
)
def test_ranges(header: str | None, part: Part | None) -> None:
    """One of bytes counts; what is none is as if it were not there."""
    assert part_of(header, 100) == part


@settings(max_examples=60)
@given(st.text(alphabet="bytes=0123456789-, ", max_size=40), st.integers(0, 1000))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    """Whatever is asked for."""
    part = part_of(header, size)
    if part is not None:
        assert 0 <= part.offset <= part.offset + part.length <= size
        assert part.whole or part.length > 0
