"""Runs of jobs on real repositories: all that a table says, and what goes on record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.backups.records import Book
from backup.repository.repository import Repository
from tests.agent.cli.backup.repos import PASSWORD, Place, call, parse
from tests.agent.daemon.daemons import HOSTWARD
from wire.report import BackupRun


class Host:
    """A configuration, two repositories, and a folder to save."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Place.make(folder / "repository")
        self.second = Place.make(folder / "second")
        (folder / "etc").mkdir()
        (folder / "etc/file").write_text("content")
        self.secret = folder / "password"
        self.secret.touch(0o600)
        self.secret.write_text(PASSWORD + "\n")
        self.file = folder / "agent.toml"
        self.state = folder / "state"

    def configure(self, text: str = "", repository: str = "") -> None:
        self.file.write_text(
            f'[backups.etc]\nrepository = "{repository or self.place.folder}"\npassword_file = "{self.secret}"\n'
            f'paths = ["{self.folder}/etc"]\nnice = 0\n{text}\n'
        )

    def copy(self, last: int) -> str:
        """The table of a copy that keeps so many."""
        return (
            f"{{ repository = '{self.second.folder}', password_file = '{self.secret}', keep = {{ last = {last} }} }}"
        )

    @property
    def environment(self) -> dict[str, str]:
        hidden = ("HOSTWARD_", "RESTIC_", "XDG_")
        base = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        return {**base, "HOSTWARD_CONFIG": str(self.file), "RESTIC_CACHE_DIR": str(self.folder / "cache")}

    def call(self, *words: object, code: int = 0) -> str:
        words = ("backup", words[0], "--state-dir", self.state, *words[1:])
        done = call([*map(str, words)], self.environment)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    def start(self, *words: object) -> subprocess.Popen[str]:
        """The same, in a process of its own."""
        return subprocess.Popen(
            [str(HOSTWARD), "backup", *map(str, words), "--state-dir", str(self.state)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def runs(self) -> list[BackupRun]:
        return [one.record.run for one in Book(self.state, "backups", BackupRun).runs("etc")]

    def change(self, text: str) -> None:
        (self.folder / "etc/file").write_text(text)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    yield Host(tmp_path)


def tamper(place: Place, folder: str = "data") -> None:
    """One bit of the newest pack of the repository is another."""
    pack = max((place.folder / folder).rglob("*"), key=lambda path: (path.is_file(), path.stat().st_mtime_ns))
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)


def test_all_that_a_table_says(host: Host) -> None:
    """Made, read back, kept, copied, and on record; the copy has rules of its own."""
    host.configure(
        "daily = '02:00'\nverify = true\nkeep = { last = 2 }\n"
        f"copies = [{host.copy(1)}]\n"
        f"after = [{{ command = ['sh', '-c', 'echo $HOSTWARD_OUTCOME $HOSTWARD_JOB >> {host.folder}/told'] }}]"
    )
    for number in range(3):
        host.change(f"content {number}")
        said = host.call("run", "etc")
    assert "read back what was stored: it is whole" in said
    assert "removed 1 snapshot: " in said
    assert f"copied 1 snapshot to {host.second.folder}" in said
    assert len(host.place.json("snapshots")) == 2
    assert len(host.second.json("snapshots")) == 1
    assert (host.folder / "told").read_text() == "done etc\n" * 3
    first, _, last = host.runs()
    assert (last.outcome, last.verified, last.files, last.bytes, last.bytes_read) == ("done", True, 1, 9, 9)
    assert last.bytes_added > 0
    assert last.last_success == last.finished
    assert last.last_verified == last.started > first.started
    assert last.next is not None
    assert last.next > last.finished
    assert [copy.outcome for copy in last.copies] == ["done"]
    assert last.copies[0].snapshot == host.second.json("snapshots")[0]["id"]


def test_others_in_the_same_repository_are_left_alone(host: Host) -> None:
    """What another job saved of the same paths, another host, or somebody by hand."""
    host.configure("keep = { last = 1 }")
    host.call("run", "etc", "--host", "other")
    host.call("run", f"{host.folder}/etc", "--job", "etc")
    host.call("run", "etc")
    host.change("new")
    host.call("run", "etc")
    assert len(host.place.json("snapshots")) == 3


def test_what_is_not_as_it_was_stored_fails_the_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is removed, though the rules would."""
    host.configure("verify = true\nkeep = { last = 1 }")
    host.call("run", "etc")
    host.change("another")
    save = Repository.save_snapshot

    def spoil(repository: Repository, *words: Any) -> str:
        tamper(host.place)
        return save(repository, *words)

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "save_snapshot", spoil)
        said = host.call("run", "etc", code=1)
    assert "what was stored is not what was read back" in said
    assert len(host.place.json("snapshots")) == 2
    last = host.runs()[-1]
    assert (last.outcome, last.verified, last.last_success) == ("failed", False, host.runs()[0].finished)


def test_a_part_of_the_whole_repository_is_read_too(host: Host) -> None:
    """So what was stored long ago is not lost unnoticed."""
    host.configure("verify = '1/1'")
    assert "read 1/1 of it: no problems" in host.call("run", "etc")
    tamper(host.place)
    host.change("another")
    assert "what was read back" in host.call("run", "etc", code=1)


def test_a_copy_that_cannot_be_reached_makes_the_run_partial(host: Host) -> None:
    """And gets what it lacks the next time; what its rules removed does not come back."""
    away = host.second.folder.with_name("away")
    host.configure(f"copies = [{host.copy(2)}]")
    host.call("run", "etc")
    host.second.folder.rename(away)
    host.change("another")
    assert "could not be copied" in host.call("run", "etc", code=3)
    away.rename(host.second.folder)
    host.change("a third")
    assert "copied 2 snapshots" in host.call("run", "etc")
    assert len(host.second.json("snapshots")) == 2
    host.change("a fourth")
    assert "copied 1 snapshot to" in host.call("run", "etc")
    assert [run.outcome for run in host.runs()] == ["done", "partial", "done", "done"]
    assert host.runs()[1].last_success == host.runs()[1].finished


def test_where_there_is_no_repository(host: Host) -> None:
    """The run says what makes one, or makes it where that is asked for."""
    host.configure(repository=str(host.folder / "new"))
    assert "`hostward backup init --job etc` makes a new one" in host.call("run", "etc", code=10)
    assert host.runs()[-1].outcome == "failed"
    host.configure("init = true", repository=str(host.folder / "newer"))
    assert "made the repository in" in host.call("run", "etc")
    host.call("run", "etc")


def test_a_repository_that_is_gone_is_not_made_anew(host: Host) -> None:
    """A disk that is not mounted looks just like that; the same holds for copies. By hand it is made."""
    new, second = host.folder / "new", host.folder / "other"
    copies = f"copies = [{{ repository = '{second}', password_file = '{host.secret}', init = true }}]"
    host.configure("init = true\n" + copies, repository=str(new))
    host.call("run", "etc")
    host.call("run", "etc")

    new.rename(host.folder / "away")
    said = host.call("run", "etc", code=10)
    assert f"no repository in {new}, where earlier runs" in said and "mounted?" in said
    assert "`hostward backup init --job etc` makes a new one" in said
    assert not new.exists() and host.runs()[-1].outcome == "failed"
    new.mkdir()  # where it was mounted
    host.call("run", "etc", code=10)
    new.rmdir()
    (host.folder / "away").rename(new)

    second.rename(host.folder / "away")
    said = host.call("run", "etc", code=3)
    assert f"`hostward backup init --repo {second}` makes a new one" in said and not second.exists()

    shutil.rmtree(new)
    host.call("init", "--job", "etc")
    host.call("init", "--repo", second, "--password-file", host.secret)
    host.call("run", "etc")


def test_a_job_that_has_moved_makes_a_repository_there(host: Host) -> None:
    """And where it was before, once it has been elsewhere; nor does it take a damaged note to heart."""
    for place in ("one", "two", "one"):
        host.configure("init = true", repository=f"{host.folder}/{place}/")
        assert "made the repository in" in host.call("run", "etc")
        host.call("run", "etc")
        shutil.rmtree(host.folder / place)
    (note,) = (host.state / "sources/etc").iterdir()
    note.write_bytes(b"\xff{")
    assert "made the repository in" in host.call("run", "etc")
    assert json.loads(note.read_text()) == [f"{host.folder}/one"]


def test_what_cannot_be_noted_keeps_nothing_from_being_saved(host: Host) -> None:
    """A file is where the note's folder should be."""
    host.state.mkdir()
    (host.state / "sources").write_text("")
    host.configure("init = true", repository=str(host.folder / "new"))
    host.call("run", "etc")
    host.call("run", "etc")


def test_a_dry_run_changes_nothing(host: Host) -> None:
    """No hook, no record, no snapshot."""
    host.configure(f"before = [{{ command = ['touch', '{host.folder}/ran'] }}]")
    assert "would add" in host.call("run", "etc", "--dry-run")
    assert host.runs() == []
    assert not (host.folder / "ran").exists()
    assert host.place.json("snapshots") == []


def test_a_clock_that_is_set_back_meanwhile_makes_no_run_end_before_it_began(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it took is measured by one that nobody can set."""
    host.configure()
    times = iter([1_900_000_000.0])
    monkeypatch.setattr(
        "agent.cli.backup.job_run.time",
        SimpleNamespace(time=lambda: next(times, 1_800_000_000.0), time_ns=time.time_ns),
    )
    host.call("run", "etc")
    (run,) = host.runs()
    assert run.started == 1_900_000_000.0
    assert run.started < run.finished < run.started + 3600


def test_json_has_the_summary_and_the_run(host: Host) -> None:
    """Restic's, then ours."""
    host.configure("verify = true")
    *_, summary, job = parse(host.call("run", "etc", "--json"))
    assert summary["message_type"] == "summary"
    assert job["message_type"] == "job"
    assert job["snapshot"] == summary["snapshot_id"]
    status = json.loads(host.call("status", "--json"))["jobs"][0]
    assert (status["name"], status["schedule"], status["last_run"]["outcome"]) == ("etc", "", "done")
    assert json.loads(host.call("status", "etc", "--json"))["runs"][0]["verified"] is True
    assert "by hand" in host.call("status")
    assert "there is no backup job" in host.call("status", "nix", code=2)


def test_for_the_agent_the_run_is_all_that_is_printed(host: Host) -> None:
    """The agent keeps the record itself, be it of a run that failed."""
    host.configure()
    found = json.loads(host.call("run", "etc", "--for-agent"))
    assert found["outcome"] == "done"
    assert found["last_success"] == found["finished"]
    (host.folder / "etc/file").unlink()
    (host.folder / "etc").rmdir()
    failed, _, said = host.call("run", "etc", "--for-agent", code=1).partition("\n")
    assert json.loads(failed)["message"].startswith("none of the paths to be saved is there")
    assert "hostward" in said
    assert host.runs() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended(host: Host, number: signal.Signals) -> None:
    """By a signal it does what is to be done after; killed outright it is on record as soon as somebody looks."""
    host.configure(
        f"before = [{{ command = ['sh', '-c', 'touch {host.folder}/begun; sleep 600'] }}]\n"
        f"after = [{{ command = ['touch', '{host.folder}/after'] }}]"
    )
    running = host.start("run", "etc")
    try:
        deadline = time.monotonic() + 60
        while not (host.folder / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(number)
        running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    if number == signal.SIGTERM:
        assert running.returncode == 128 + number
        assert (host.folder / "after").exists()
        assert host.runs()[-1].message == "ended by SIGTERM"
    host.configure()
    host.call("run", "etc")
    outcomes = [run.outcome for run in host.runs()]
    assert outcomes == ["failed", "done"]
    assert host.runs()[0].last_success is None


def test_two_runs_on_one_repository_take_turns(host: Host) -> None:
    """Whoever starts them: the second one says that it waits."""
    host.configure(f"before = [{{ command = ['sh', '-c', 'while [ ! -e {host.folder}/go ]; do sleep 0.05; done'] }}]")
    first = host.start("run", "etc")
    second = None
    try:
        deadline = time.monotonic() + 60
        turns = host.state / "backups/.turns"
        while not turns.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        second = host.start("run", "etc")
        assert second.stderr is not None
        assert "waiting until it has ended" in second.stderr.readline()
        (host.folder / "go").touch()
        assert first.wait(60) == 0
        assert second.wait(60) == 0
    finally:
        for one in (first, second):
            if one is not None:
                one.kill()
                one.communicate()
    assert [run.outcome for run in host.runs()] == ["done", "done"]


def test_a_limit_of_bandwidth_by_the_time_of_day(host: Host) -> None:
    """Which the whole run keeps to: 40 KiB that cannot be compressed take their time at 16 KiB/s."""
    (host.folder / "etc/noise").write_bytes(os.urandom(40 * 1024))
    host.configure("limit_upload = '10MiB'\nbandwidth = [{ from = '00:00', to = '24:00', upload = '16KiB' }]")
    began = time.monotonic()
    host.call("run", "etc")
    assert time.monotonic() - began > 2.0
