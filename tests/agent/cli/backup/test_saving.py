"""Making snapshots and bringing files back, beside restic doing the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from agent.cli.backup.saving import Ahead
from backup.archive.scan import ScanAhead
from tests.agent.cli.backup.repos import Place, call, parse, run
from tests.agent.cli.backup.test_access import on_terminal
from tests.agent.daemon.daemons import HOSTWARD
from tests.agent.tmpfs import small_disk
from tests.backup.archive.ground import listed
from tests.peers import newest_restic
from tests.require import require, require_program, require_root

CHANCE = {
    "total_duration",
    "backup_start",
    "backup_end",
    "snapshot_id",
    "data_added",
    "data_added_packed",
    "seconds_elapsed",
}
"""Of a summary. Trees have times of the folders above, whose last digits may be zeros, which are left out."""


@pytest.fixture
def both(tmp_path: Path) -> tuple[Place, Place]:
    """Two repositories: one for us, and one for restic."""
    return Place.make(tmp_path / "ours"), Place.make(tmp_path / "theirs", newest_restic())


def summary(lines: Any) -> dict[str, Any]:
    """The last object, without what is chance."""
    found = lines[-1] if isinstance(lines, list) else lines
    assert found["message_type"] == "summary"
    return {name: value for name, value in found.items() if name not in CHANCE}


def test_a_summary_is_restics(both: tuple[Place, Place], files: Path, tmp_path: Path) -> None:
    """First, again, after a change, and without a change."""
    ours, theirs = both
    changing = tmp_path / "changing"
    changing.mkdir()
    (changing / "a").write_text("a")
    words = [files / "etc", changing, "--exclude", "inner", "--tag", "x,y", "--tag", "z", "--host", "h"]
    for _ in range(2):
        mine, their = ours.json("run", *words), theirs.peer_json("backup", *words)
        assert summary(mine) == summary(their)
        (changing / "b").write_text("more")
    mine = ours.json("run", *words, "--skip-if-unchanged", "--dry-run")
    their = theirs.peer_json("backup", *words, "--skip-if-unchanged", "--dry-run")
    assert summary(mine) == summary(their)
    snapshot, other = ours.json("snapshots")[-1], theirs.json("snapshots")[-1]
    for name in ("paths", "tags", "hostname", "username", "excludes"):
        assert snapshot[name] == other[name]
    assert snapshot["program_version"].startswith("hostward ")


def test_what_became_of_each_file_is_told_as_restic_tells_it(
    both: tuple[Place, Place], files: Path, tmp_path: Path
) -> None:
    """With -vv: at first, again, and after changes of content, of metadata, and of what is there at all."""
    ours, theirs = both
    top = tmp_path / "top"
    (top / "inner").mkdir(parents=True)
    for name in ("same", "touched", "inner/written", "inner/gone"):
        (top / name).write_text(name)
    (top / "link").symlink_to("same")

    def told(lines: list[dict[str, Any]]) -> set[tuple[str, str]]:
        found = [line for line in lines if line["message_type"] == "verbose_status" and line["item"]]
        assert len({line["item"] for line in found}) == len(found)
        return {(line["action"], line["item"]) for line in found}

    for change in range(3):
        if change == 2:
            (top / "inner/written").write_text("more")
            (top / "inner/gone").unlink()
            (top / "inner/empty").mkdir()
            (top / "touched").chmod(0o600)
            (top / "new").write_text("new")
        mine = ours.json("run", files / "etc", top, "-vv")
        assert told(mine) == told(theirs.peer_json("backup", files / "etc", top, "-vv"))
    lines = ours.hostward("run", top, "-vv", "--dry-run", "--force").splitlines()
    assert f"new       {top}/new, 3B" in lines
    assert f"new       {top}/inner/" in lines
    assert f"unchanged {top}/same" in ours.hostward("run", top, files / "etc", "-vv", "--dry-run").splitlines()
    assert "unchanged" not in ours.hostward("run", top, files / "etc", "-vv", "--quiet")


def test_the_snapshot_to_compare_with_is_of_the_group(place: Place, tmp_path: Path) -> None:
    """Of the same host and paths, or what --group-by says instead, as restic has it."""
    for name in "ab":
        (tmp_path / name).write_text(name)
    place.hostward("run", tmp_path / "a", "--host", "one", "--tag", "x")
    (first,) = (each["id"] for each in place.json("snapshots"))
    found = {}
    for group in ("host,paths", "host", "tags", "host,tags", "paths", ""):
        place.hostward("run", tmp_path / "b", "--host", "two", "--tag", "x", "--group-by", group)
        made = place.json("snapshots", "--host", "two")[-1]
        found[group] = made.get("parent") == first
        place.hostward("forget", made["id"])
    assert found == {"host,paths": False, "host": False, "tags": True, "host,tags": False, "paths": False, "": True}
    assert "expected host, paths or tags" in call(["backup", "run", "/x", "-g", "size"], place.environment()).stderr


def test_what_cannot_be_saved_is_named(both: tuple[Place, Place], files: Path) -> None:
    """Exit code 3, and the snapshot is there."""
    ours, theirs = both
    done = call(["backup", "run", str(files / "etc"), "/no/such", "--json"], ours.environment())
    assert done.returncode == 3
    error, end = (json.loads(line) for line in done.stderr.splitlines())
    assert (error["message_type"], error["item"]) == ("error", "/no/such")
    assert end["code"] == 3
    assert parse(done.stdout)
    theirs.peer("backup", files / "etc", "/no/such", code=3)
    assert len(ours.json("snapshots")) == 1
    ours.hostward("run", "/no/such", code=1)


def test_what_is_saved_is_chosen(place: Place, tmp_path: Path) -> None:
    """By patterns, files of patterns, sizes, marks, and lists of paths."""
    top = tmp_path / "top"
    for name in ("a.txt", "b.TMP", "keep/c.txt", "cache/d.txt", "marked/e.txt", "other/f.txt"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    (top / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (top / "marked" / ".nobackup").touch()
    (top / "large").write_bytes(bytes(4096))
    (tmp_path / "patterns").write_text("# none of these\n\nother\n")
    place.hostward(
        "run", top, "--iexclude", "*.tmp", "--exclude-file", tmp_path / "patterns", "--exclude-larger-than", "2k",
        "--exclude-caches", "--exclude-if-present", ".nobackup", "-x", "--parent", "latest", code=1,
    )  # fmt: skip
    place.hostward(
        "run", top, "--iexclude", "*.tmp", "--exclude-file", tmp_path / "patterns", "--exclude-larger-than", "2k",
        "--exclude-caches", "--exclude-if-present", ".nobackup", "-x", "--force", "--time", "2026-05-06 07:08:09",
    )  # fmt: skip
    assert names(place, top) == {
        "/a.txt", "/cache", "/cache/CACHEDIR.TAG", "/keep", "/keep/c.txt", "/marked", "/marked/.nobackup",
    }  # fmt: skip
    assert place.json("snapshots")[-1]["time"].startswith("2026-05-06T07:08:09")
    (tmp_path / "list").write_text(f"# paths\n{top}/*.txt\n")
    (tmp_path / "verbatim").write_text(f"{top}/b.TMP\n")
    (tmp_path / "raw").write_bytes(f"{top}/keep\0".encode())
    place.hostward(
        "run", "--files-from", tmp_path / "list", "--files-from-verbatim", tmp_path / "verbatim", "--files-from-raw",
        tmp_path / "raw",
    )  # fmt: skip
    assert names(place, top) == {"/a.txt", "/b.TMP", "/keep", "/keep/c.txt"}


def names(place: Place, top: Path) -> set[str]:
    """Paths of the latest snapshot below a folder."""
    paths = place.hostward("ls", "latest", "--quiet").splitlines()
    return {path.removeprefix(str(top)) for path in paths if path.startswith(f"{top}/")}


def test_a_stream_becomes_a_file(place: Place) -> None:
    """From standard input, or from a program; one that fails makes no snapshot."""
    environment = place.environment()
    assert run(["backup", "run", "--stdin", "--stdin-filename", "in/it"], environment, stdin=b"x" * 9).returncode == 0
    assert place.hostward("dump", "latest", "/in/it") == "x" * 9
    words = ["backup", "run", "--stdin-from-command", "--stdin-filename", "out", "--tag", "t", "--", "sh", "-c"]
    done = run([*words, "echo said; echo noise >&2"], environment)
    assert (done.returncode, done.stderr) == (0, "noise\n")
    assert place.hostward("dump", "latest", "out") == "said\n"
    for script, said in (("echo half; exit 7", "exit code 7"), ("kill -9 $$", "signal 9")):
        done = call([*words, script], environment)
        assert done.returncode == 1
        assert f"sh failed with {said}; no snapshot was made" in done.stderr
    done = call(["backup", "run", "--stdin-from-command", "--", "/no/such"], environment)
    assert done.stderr == "hostward: /no/such cannot be started: no such file or directory; no snapshot was made\n"
    assert len(place.json("snapshots")) == 2


def test_restored_files_are_counted_as_restic_counts(filled: Place, files: Path, tmp_path: Path) -> None:
    """A summary of the same figures, first and over what is there."""
    require_program("rsync")
    for words in (
        ["latest", "--host", "web1"],
        [f"latest:{files}/etc"],
        ["latest", "--include", "*.txt", "--include", "hosts"],
    ):
        ours, theirs = tmp_path / f"ours{len(words)}", tmp_path / f"theirs{len(words)}"
        for _ in range(2):
            mine = filled.json("restore", *words, "--target", ours)
            their = filled.peer_json("restore", *words, "--target", theirs)
            assert summary(mine) == summary(their)
        done = subprocess.run(
            ["rsync", "-ncaAXHi", "--delete", f"{ours}/", f"{theirs}/"], capture_output=True, text=True
        )
        assert [line for line in done.stdout.splitlines() if not line.startswith(".d..t")] == []


def test_paths_and_patterns_say_what_is_restored(filled: Place, files: Path, tmp_path: Path) -> None:
    """All else is left alone; a dry run writes nothing."""
    target = tmp_path / "target"
    said = filled.hostward(
        "restore", "latest", files / "etc", "--exclude", "inner", "--target", target, "--dry-run", "-v"
    )
    assert f"file restored: {files}/etc/hosts" in said
    assert not target.exists()
    filled.hostward("restore", "latest", files / "etc", "--exclude", "inner", "--target", target, "--verify")
    there = {path.name for path in (target / str(files).lstrip("/")).rglob("*")}
    assert there == {"etc", "hosts", "empty", "link", "later"}
    extra = target / str(files).lstrip("/") / "etc" / "extra"
    extra.touch()
    said = filled.hostward(
        "restore", f"latest:{files}/etc", "--target", extra.parent, "--delete", "--exclude", "inner"
    )
    assert "deleted 1" in said
    assert not extra.exists()
    filled.hostward("restore", "latest", "etc", "--target", target, code=2)
    filled.hostward("restore", "latest", files / "no", files / "etc", "--target", tmp_path / "other", code=1)
    assert not (tmp_path / "other").exists()
    filled.hostward("restore", "latest", "--include", "no", "--target", tmp_path / "other")
    filled.hostward("restore", "latest", "--include", "x", "--exclude", "y", "--target", target, code=2)


def test_a_restore_may_choose_by_time(filled: Place, files: Path, tmp_path: Path) -> None:
    """Also without the word latest."""
    filled.hostward("restore", "--at", "2026-01-20", "--target", tmp_path / "then")
    assert not (tmp_path / "then" / str(files).lstrip("/") / "etc" / "later").exists()
    assert (tmp_path / "then" / str(files).lstrip("/") / "etc" / "hosts").exists()


def test_a_folder_is_dumped_as_an_archive(filled: Place, files: Path, tmp_path: Path) -> None:
    """To a file that is there only when it is whole."""
    filled.hostward("dump", "latest", files / "etc", "--target", tmp_path / "etc.tar")
    with tarfile.open(tmp_path / "etc.tar") as archive:
        assert f"{str(files).lstrip('/')}/etc/inner/run" in archive.getnames()
    filled.hostward("dump", "latest", "/no/such", "--target", tmp_path / "none.tar", code=1)
    filled.hostward("dump", "latest", "/a", "/b", code=2)
    assert {path.name for path in tmp_path.iterdir()} == {"etc.tar"}
    assert filled.hostward("dump", "--at", "2026-02-28", f"{files}/etc/later") == "later\n"


FOUND = [
    ["hosts"],
    ["--long", "inner"],
    ["/top/etc/*"],
    ["-i", "HOSTS", "L*"],
    ["nothing at all"],
    ["hosts", "--host", "web1", "--reverse"],
    ["hosts", "--oldest", "2030-01-01 00:00:00"],
    ["hosts", "--newest", "2030-01-01"],
]


@pytest.mark.parametrize("words", FOUND, ids=" ".join)
def test_what_is_found_is_what_restic_finds(words: list[str], filled: Place, files: Path) -> None:
    """In the same order and shape."""
    words = [word.replace("/top", str(files)) for word in words]
    assert filled.json("find", *words) == filled.peer_json("find", *words)


def test_parts_of_files_are_found_by_their_ids(filled: Place) -> None:
    """Blobs, trees and packs."""
    tree = filled.json("snapshots")[0]["tree"]
    (blob, *_) = [line.split()[1] for line in filled.hostward("list", "blobs").splitlines() if "data" in line]
    for words in (["--blob", blob], ["--blob", blob[:8]], ["--tree", tree]):
        assert filled.json("find", *words) == filled.peer_json("find", *words)
    said = filled.hostward("find", "--blob", blob, "--show-pack-id")
    (pack,) = {line.split()[-1] for line in said.splitlines() if "in pack" in line}
    assert pack in filled.hostward("list", "packs")
    assert blob in filled.hostward("find", "--pack", pack)
    assert filled.hostward("find", "hosts", "--at", "2026-01-20").count("in snapshot") == 1
    filled.hostward("find", "--blob", "nothex", code=2)


def test_snapshots_are_copied(filled: Place, place: Place) -> None:
    """With the other repository's password from its own variables; a second time there is nothing to do."""
    words = ["copy", "--from-repo", filled.folder, "--host", "web1"]
    told = {"RESTIC_FROM_PASSWORD": "correct horse battery"}
    said = place.hostward(*words, **told)
    assert "copied 2 snapshots of 2" in said
    assert "is there already as" in place.hostward(*words, **told)
    assert [each["time"] for each in place.json("snapshots")] == [
        each["time"] for each in filled.json("snapshots")[:2]
    ]
    place.hostward(*words, code=2)
    place.hostward("check", "--read-data")


def test_snapshots_are_rewritten(place: Place, files: Path) -> None:
    """Without some files, under another name; a dry run says so and changes nothing."""
    place.hostward("run", files / "etc", "--host", "old")
    (before,) = place.json("snapshots")
    said = place.hostward("rewrite", "--exclude", "inner", "--dry-run", "--verbose")
    assert f"leaves out {files}/etc/inner" in said
    assert place.json("snapshots") == [before]
    place.hostward("rewrite", code=2)
    place.hostward("rewrite", "--exclude", "inner", "--new-host", "new", "--forget")
    (after,) = place.json("snapshots")
    assert (after["hostname"], after["original"]) == ("new", before["id"])
    assert "inner" not in place.hostward("ls", "latest")
    (change,) = place.json("rewrite", "--new-time", "2026-01-01 00:00:00")
    assert change["changed"]
    assert len(place.json("snapshots")) == 2


def test_a_damaged_repository_is_repaired(place: Place, files: Path) -> None:
    """As `check` says: index, packs, snapshots; then it is sound."""
    place.hostward("run", files)
    pack = max((place.folder / "data").rglob("*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[2000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    index = next((place.folder / "index").iterdir())
    index.unlink()
    place.hostward("check", code=1)
    assert "packs that were in no index" in place.hostward("repair", "index")
    assert "nothing was changed" in place.hostward("repair", "index")
    assert "for a new index" in place.hostward("repair", "index", "--read-all-packs")
    place.hostward("check", "--read-data", code=1)
    said = place.hostward("repair", "packs", pack.name[:9])
    assert "lost 1" in said
    assert "loses 1 of its" in place.hostward("repair", "snapshots", "--dry-run")
    place.hostward("repair", "snapshots", "--forget")
    assert "no problems were found" in place.hostward("check", "--read-data")
    place.hostward("repair", "packs", "ffff", code=1)


def test_a_snapshot_of_which_nothing_is_left_is_named(place: Place, files: Path) -> None:
    """It stays until it may be removed."""
    place.hostward("run", files)
    for pack in (place.folder / "data").rglob("*/*"):
        pack.unlink()
    place.hostward("repair", "index")
    said = place.hostward("repair", "snapshots")
    assert "stays; --forget removes it: nothing is left of it" in said and "changed 0 of 1 snapshot" in said
    assert len(place.json("snapshots")) == 1
    assert "removed: nothing is left of it" in place.hostward("repair", "snapshots", "--forget")
    assert place.json("snapshots") == []


def test_a_terminal_shows_how_far_it_is(place: Place, tmp_path: Path) -> None:
    """A bar with speed and time left, which is gone at the end; nothing of it when piped or quiet."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(12):
        (source / str(number)).write_bytes(os.urandom(1 << 20))
    words = ["backup", "run", str(source), "--limit-upload", "20000"]
    said, code = on_terminal(words, {**place.environment(), "TERM": "xterm", "COLUMNS": "100"}, [])
    assert code == 0
    assert "\r\x1b[K" in said
    assert "files" in said
    assert said.replace("\r\n", "\n").splitlines()[-1].startswith("snapshot ")
    done = run(words, place.environment())
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert call([*words, "--quiet"], place.environment()).stdout == ""


@pytest.mark.parametrize(
    ("words", "scans"),
    [(["--json"], True), (["--json", "--no-scan"], False), (["--json", "--quiet"], False), ([], False)],
)
def test_only_what_is_shown_is_scanned_ahead(
    words: list[str], scans: bool, place: Place, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody sees how much is left, nothing is spent on it."""
    begun = []
    monkeypatch.setattr("backup.archive.backup.ScanAhead", lambda *about: begun.append(about) or ScanAhead(*about))
    place.hostward("run", files / "etc", *words)
    assert bool(begun) == scans


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly(number: signal.Signals, place: Place, tmp_path: Path) -> None:
    """It says so; no lock, no temporary file and no process is left; the exit code is that of shells."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(20 << 20))
    process = subprocess.Popen(
        [str(HOSTWARD), "backup", "run", str(source), "--limit-upload", "2000", "--pack-size", "4"],
        env=place.environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any((place.folder / "data").rglob("?" * 64)):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert (out, err) == (b"", f"hostward: ended by {number.name} before it was done\n".encode())
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert list((place.folder / "locks").iterdir()) == []
    left = {path.name for path in place.folder.iterdir()} - {"config", "data", "index", "keys", "locks", "snapshots"}
    assert not left
    assert place.json("snapshots") == []
    assert "no problems were found" in place.hostward("check", "--read-data")


def test_a_full_disk_under_a_dump_is_named(filled: Place, tmp_path: Path) -> None:
    """And nothing of it is left."""
    require_root()
    with small_disk(tmp_path / "disk", size="1m") as disk:
        done = call(
            ["backup", "dump", "latest", "/", "--host", "web1", "-t", f"{disk}/out.tar"], filled.environment()
        )
        assert (done.returncode, done.stderr) == (1, f"hostward: {disk}/out.tar: No space left on device\n")
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_mounted_repository_is_unmounted_by_a_signal(number: signal.Signals, filled: Place, tmp_path: Path) -> None:
    """Its lock goes with it."""
    require(Path("/dev/fuse").exists(), "/dev/fuse")
    point = tmp_path / "point"
    point.mkdir()
    process = subprocess.Popen(
        [str(HOSTWARD), "backup", "mount", str(point)], env=filled.environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not point.is_mount() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        assert {path.name for path in point.iterdir()} == {"ids", "snapshots", "hosts", "tags"}
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        subprocess.run(["umount", "--lazy", point], capture_output=True)
    assert process.returncode == 0
    assert out == f"mounted on {point}; umount it, or Ctrl-C, ends this\n"
    assert not point.is_mount()
    assert list((filled.folder / "locks").iterdir()) == []


def test_a_run_looks_while_the_key_is_derived(
    place: Place, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sees then is not listed again; a run that compares with nothing has no use for it."""
    begin = Ahead.begin
    monkeypatch.setattr(Ahead, "begin", lambda self, enough: begin(self, lambda: False))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    place.hostward("run", files, **cache)
    found = listed(monkeypatch)
    place.hostward("run", files, **cache)
    assert found == []
    place.hostward("run", files, "--force", **cache)
    assert os.fsencode(files) in found
