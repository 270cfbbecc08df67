"""What commands show of a repository that restic filled, held against what restic shows of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.agent.cli.backup.repos import Place, call

SAME = [
    ["snapshots"],
    ["snapshots", "latest"],
    ["snapshots", "--host", "web1"],
    ["snapshots", "--host", "web1", "--host", "db1", "--tag", "two,one", "--tag", "other"],
    ["snapshots", "--host", "nobody"],
    ["snapshots", "--latest", "1"],
    ["snapshots", "--group-by", "host"],
    ["snapshots", "-g", "host,paths,tags"],
    ["ls", "latest"],
    ["ls", "latest", "--host", "web1"],
    ["ls", "latest", "/top/etc"],
    ["ls", "--recursive", "latest", "/top/etc"],
    ["ls", "latest", "/top/etc/hosts", "/top/tmp"],
    ["ls", "latest", "/nowhere"],
    ["ls", "latest:/top/etc"],
    ["ls", "latest:top", "/etc/inner"],
    ["ls", "--sort", "size", "latest"],
    ["ls", "--sort", "mtime", "--reverse", "latest:top/etc"],
    ["key", "list"],
    ["cat", "config"],
    ["cat", "masterkey"],
    ["stats"],
    ["stats", "--host", "web1"],
    ["stats", "latest", "--mode", "files-by-contents"],
    ["stats", "--mode", "blobs-per-file"],
    ["stats", "--mode", "raw-data"],
    ["forget", "--dry-run", "--keep-last", "1"],
    ["forget", "--dry-run", "--keep-daily", "2", "--keep-tag", "one", "--group-by", ""],
    ["forget", "-n", "-l", "1", "--group-by", "tags,host"],
    ["forget", "-n", "--keep-within", "40d", "--group-by", "paths", "--host", "web1"],
]


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_json_is_restics(words: list[str], filled: Place, files: Path) -> None:
    """Field by field, in the same order of objects."""
    words = [word.replace("/top", str(files)).replace(":top", f":{files}") for word in words]
    assert normal(filled.json(*words)) == normal(filled.peer_json(*words))


def normal(found: Any) -> Any:
    """Without what is chance: groups come in any order, and restic sorts the tags of snapshots that it groups."""
    if isinstance(found, list) and found and "group_key" in found[0]:
        for group in found:
            for snapshot in group["snapshots"]:
                snapshot.get("tags", []).sort()
        found.sort(key=lambda group: repr(group["group_key"]))
    if isinstance(found, list) and found and "reasons" in found[0]:
        for group in found:
            for snapshot in [
                *(group["keep"] or ()),
                *(group["remove"] or ()),
                *(r["snapshot"] for r in group["reasons"]),
            ]:
                snapshot.get("tags", []).sort()
        found.sort(key=lambda group: (group["host"], group["paths"] or [], group["tags"] or []))
    return found


def test_a_folder_that_is_not_there_is_named(filled: Place) -> None:
    """Beside the empty list that restic prints. As restic has it, only in `ls latest:/nowhere` it is an error."""
    for words, code in ((["latest", "/nowhere"], 0), (["latest:/nowhere"], 1)):
        done = call(["backup", "ls", *words], filled.environment())
        assert done.returncode == code
        assert "/nowhere is not in the snapshot" in done.stderr


def test_what_cannot_be_mounted_is_not_said_to_be(filled: Place, tmp_path: Path) -> None:
    """With --json there is no text at all but the error."""
    for words in ([], ["--json"]):
        done = call(["backup", "mount", str(tmp_path / "nothing"), *words], filled.environment())
        assert (done.returncode, done.stdout) == (1, "")
        assert "nothing is no folder" in done.stderr


@pytest.mark.parametrize("kind", ["packs", "index", "snapshots", "keys", "blobs"])
def test_lists_of_ids_are_restics(kind: str, filled: Place) -> None:
    """One a line; restic's order is that of the store."""
    assert sorted(filled.hostward("list", kind).splitlines()) == sorted(filled.peer("list", kind).splitlines())


def test_objects_are_printed_as_they_are(filled: Place) -> None:
    """As restic's cat prints them, byte for byte."""
    snapshot = filled.json("snapshots")[0]["id"]
    (blob, *_) = [line.split()[1] for line in filled.hostward("list", "blobs").splitlines() if "data" in line]
    index, key = filled.hostward("list", "index").splitlines()[0], filled.hostward("list", "keys").strip()
    for words in (
        ["snapshot", snapshot],
        ["snapshot", snapshot[:9]],
        ["tree", snapshot],
        ["key", key],
        ["index", index],
    ):
        ours, theirs = filled.hostward("cat", *words), filled.peer("cat", *words)
        assert ours.split() == theirs.split()
    assert filled.opened().blobs
    assert filled.hostward("cat", "blob", blob)


def test_a_snapshot_is_chosen_by_time(filled: Place) -> None:
    """The newest that is not after it, of those that the other options let through."""
    by_time = {}
    for at in ("2026-01-31", "2026-02-03", "2026-03-01 00:00", "2027-01-01T00:00:00Z"):
        by_time[at] = filled.hostward("ls", "latest", "--at", at).splitlines()[0].split()[1]
    ids = [each["short_id"] for each in filled.json("snapshots")]
    assert list(by_time.values()) == [ids[0], ids[1], ids[1], ids[2]]
    assert ids[1] in filled.hostward("ls", "--at", "2027-01-01", "--host", "web1")
    filled.hostward("ls", "latest", "--at", "2025-01-01", code=1)
    filled.hostward("ls", ids[0], "--at", "2027-01-01", code=2)


def test_times_are_shown_on_the_hosts_clock(filled: Place) -> None:
    """The tests' host is in India; snapshots of theirs were made by the same clock."""
    line = next(line for line in filled.hostward("snapshots").splitlines() if "db1" in line)
    assert "2026-03-04 05:06:07" in line
    assert line.split()[4] == "other"


def test_a_table_is_for_people(filled: Place, files: Path) -> None:
    """One snapshot a line."""
    lines = filled.hostward("snapshots").splitlines()
    assert lines[0].split() == ["ID", "TIME", "HOST", "TAGS", "PATHS", "SIZE"]
    assert str(files) in lines[1]
    assert lines[-1] == "3 snapshots"
    assert "PATHS" not in filled.hostward("snapshots", "--compact")
    assert filled.hostward("snapshots", "--group-by", "host").startswith("host db1:\n")


def test_names_are_printed_byte_by_byte(filled: Place, files: Path) -> None:
    """For programs that read them."""
    assert f'{files}/odd \udcff "name"\n\n' in filled.hostward("ls", "latest")


def test_a_long_listing(filled: Place, files: Path) -> None:
    """Mode, owner, size, time and where a link points to."""
    lines = filled.hostward("ls", "-l", "latest", files / "etc", "--human-readable").splitlines()
    (link,) = (line for line in lines if line.endswith("-> hosts"))
    assert link.startswith("Lrwxrwxrwx")
    (script,) = (line for line in filled.hostward("ls", "-l", "latest").splitlines() if line.endswith("/inner/run"))
    assert script.split()[0] == "urwxr-xr-x"
    assert script.split()[3] == "10000"
    assert any("20B" in line for line in lines if line.endswith("/hosts"))


def test_a_sound_repository_has_no_problems(filled: Place) -> None:
    """In restic's words for programs."""
    assert filled.json("check", "--read-data") == filled.peer_json("check", "--read-data")
    said = filled.hostward("check", "--read-data-subset", "1/1")
    assert "checked 3 snapshots" in said
    assert said.endswith("no problems were found\n")


def test_reading_leaves_no_lock(filled: Place) -> None:
    """Nor takes one where that is asked for."""
    filled.hostward("snapshots")
    assert filled.hostward("list", "locks") == ""
    locks = filled.folder / "locks"
    locks.rename(filled.folder / "moved")
    try:
        assert "3 snapshots" in filled.hostward("snapshots", "--no-lock")
    finally:
        (filled.folder / "moved").rename(locks)


def test_a_diff_is_restics(filled: Place, files: Path) -> None:
    """Each change, in order, and the figures."""
    first, second, third = (each["id"] for each in filled.json("snapshots"))
    for words in (
        [first, second],
        ["--metadata", first, second],
        [third, first[:8]],
        [f"{first}:{files}/etc", f"{second}:{files}"],
    ):
        assert filled.json("diff", *words) == filled.peer_json("diff", *words)
    said = filled.hostward("diff", first, second)
    assert f"+    {files}/etc/later" in said.splitlines()
    assert said.splitlines()[-6].split() == ["files", "1", "0", "0"]


def test_figures_for_people(filled: Place) -> None:
    """One a line."""
    said = filled.hostward("stats", "--mode", "raw-data")
    assert "snapshots          3\n" in said
    assert re.search(r"^compressed +[0-9.]+ % of the data, this at a ratio of [0-9.]+$", said, re.MULTILINE)
    assert re.search(r"^saved +-?[0-9.]+ % of the data$", said, re.MULTILINE)
    assert "files" in filled.hostward("stats")
