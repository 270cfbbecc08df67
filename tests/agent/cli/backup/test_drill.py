"""`hostward backup drill`, on a host with a job of files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from agent.backups.records import Begun, Book
from tests.agent.cli.backup.repos import PASSWORD, Place, call
from tests.agent.daemon.daemons import HOSTWARD
from wire.report import BackupRun, Drill


class Host:
    """A job, drills, and files to save."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.place = place
        self.state = folder / "state"
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        (folder / "srv/inner").mkdir(parents=True)
        for number in range(20):
            (folder / f"srv/inner/file{number}").write_text(f"content {number}")
        self.secret = folder / "password"
        self.secret.touch(0o600)
        self.secret.write_text(PASSWORD + "\n")
        self.file = folder / "agent.toml"

    def configure(self, drill: str, *, job: str = "") -> None:
        self.file.write_text(
            f'[backups.shop]\nrepository = "{self.place.folder}"\npassword_file = "{self.secret}"\n'
            f'paths = ["{self.folder}/srv"]\n{job}\n'
            f'[drills.shop]\nbackup = "shop"\nweekly = "sunday 04:00"\nscratch = "{self.scratch}"\n{drill}\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        hidden = ("HOSTWARD_", "RESTIC_", "XDG_")
        base = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        return {**base, "HOSTWARD_CONFIG": str(self.file)}

    def words(self, *words: str) -> list[str]:
        return ["backup", *words, "--no-cache", "--state-dir", str(self.state)]

    def call(self, *words: str, code: int = 0) -> str:
        with patch("agent.backups.job.limits.take"):  # which would hold for all tests that follow
            done = call(self.words(*words), self.environment)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    def save(self) -> None:
        self.call("run", "shop", "--quiet")

    def drills(self) -> list[Drill]:
        return [one.record.run for one in Book(self.state, "drills", Drill).runs("shop")]


@pytest.fixture
def host(tmp_path: Path, place: Place) -> Host:
    return Host(tmp_path, place)


def test_a_drill_restores_compares_asks_measures_cleans_up_and_is_on_record(host: Host) -> None:
    """What is said and what is kept are the same."""
    inner = f'"$HOSTWARD_DRILL_FOLDER{host.folder}/srv/inner"'
    host.configure(
        f"kind = 'full'\nrpo = '1h'\nrto = '4h'\n"
        f"assertion = {{ command = ['/bin/sh', '-c', 'ls {inner} | wc -l'], expect = '20' }}"
    )
    host.save()
    told = json.loads(host.call("drill", "shop", "--json"))
    assert (told["outcome"], told["files"], told["live_files"], told["differing"]) == ("done", 20, 20, 0)
    assert (told["assertion"], told["missed_targets"]) == ("held", [])
    assert 0 <= told["recovery_point"] < 600
    assert 0 < told["recovery_time"] < 600
    (kept,) = host.drills()
    assert (kept.outcome, kept.snapshot, kept.recovery_time) == ("done", told["snapshot"], told["recovery_time"])
    assert kept.rpo == 3600
    assert kept.next is not None
    assert kept.next > time.time()
    assert list(host.scratch.iterdir()) == []
    said = host.call("drill", "shop")
    assert "restored and compared 20 files" in said
    assert "the assertion held" in said
    assert "(rto 4h)" in said


def test_a_sample_can_be_drawn_again(host: Host) -> None:
    """By the seed that was told."""
    names = host.folder / "names"
    listing = f'(cd "$HOSTWARD_DRILL_FOLDER{host.folder}/srv/inner" && ls) >> {names}'
    host.configure(f"sample_files = 5\nassertion = {{ command = ['/bin/sh', '-c', '{listing}'] }}")
    host.save()
    first = json.loads(host.call("drill", "shop", "--json"))
    assert first["estimated"]
    assert first["seed"] in first["message"]
    host.call("drill", "shop", "--seed", first["seed"])
    drawn = names.read_text().split()
    assert len(drawn) == 10
    assert drawn[:5] == drawn[5:]


@pytest.mark.parametrize(
    ("drill", "code", "words"),
    [
        ("assertion = { command = ['/bin/false'] }", 1, "the assertion failed: the program failed: exit code 1"),
        ("assertion = { command = ['/bin/echo', '3'], expect = '4' }", 1, 'printed "3"; expected "4"'),
        ("rto = '1s'\nrpo = '1s'\nassertion = { command = ['/bin/sleep', '1.1'] }", 3, "what comes back is"),
        ("space = '1MiB'\nkind = 'full'", 1, "would be restored, and `space` allows 1MiB"),
        ("age = '30d'", 1, "no snapshot of the job shop is 30d old"),
        ("timeout = '1s'\nassertion = { command = ['/bin/sleep', '60'] }", 1, "not done within its time limit of 1s"),
    ],
)
def test_what_is_not_as_it_should_be_is_told_and_on_record(host: Host, drill: str, code: int, words: str) -> None:
    """With an exit code that says whether it failed, or only missed a target."""
    host.configure(drill)
    (host.folder / "srv/large").write_bytes(os.urandom(1_500_000))
    host.save()
    if code == 3:
        time.sleep(1.1)
    assert words in host.call("drill", "shop", code=code)
    (kept,) = host.drills()
    assert kept.outcome == ("done" if code == 3 else "failed")
    assert list(host.scratch.iterdir()) == []


def test_without_its_folder_a_drill_says_what_it_needs(host: Host) -> None:
    """And makes none: who mounts a disk there wants the disk."""
    host.configure("")
    host.save()
    host.scratch.rmdir()
    assert f"scratch: there is no folder {host.scratch}: make it, " in host.call("drill", "shop", code=1)
    assert not host.scratch.exists()


def test_a_copy_is_tried_too(host: Host) -> None:
    """Where it is by its own password; how old it is its own snapshots say."""
    second = Place.make(host.folder / "second")
    copies = f'copies = [{{ repository = "{second.folder}", password_file = "{host.secret}" }}]'
    host.configure(f'repository = "{second.folder}/"', job=copies)
    host.save()
    (host.folder / "srv/inner/file0").write_text("another")
    second.folder.rename(host.folder / "away")
    host.call("run", "shop", "--quiet", code=3)
    (host.folder / "away").rename(second.folder)
    host.place.folder.rename(host.folder / "gone")
    told = json.loads(host.call("drill", "shop", "--json"))
    assert (told["outcome"], told["files"], told["repository"]) == ("done", 20, str(second.folder))
    first, _ = (one.record.run for one in Book(host.state, "backups", BackupRun).runs("shop"))
    assert told["recovery_point"] == pytest.approx(told["started"] - first.started, abs=5)
    assert told["snapshot"] == first.copies[0].snapshot
    host.configure('repository = "/srv/elsewhere"', job=copies)
    assert "and not into /srv/elsewhere" in host.call("drill", "shop", code=2)


def test_without_a_snapshot_or_a_repository_the_drill_has_failed(host: Host) -> None:
    """It is no less a failure than a restore that fails."""
    host.configure("")
    assert "no run of the job shop has made a snapshot" in host.call("drill", "shop", code=1)
    host.place.folder.rename(host.folder / "elsewhere")
    assert "there is no repository" in host.call("drill", "shop", code=1)
    assert [drill.outcome for drill in host.drills()] == ["failed", "failed"]


def test_a_drill_that_is_killed_is_on_record_and_leaves_nothing(host: Host) -> None:
    """The next one puts it there, and removes what it left."""
    started = host.folder / "started"
    host.configure(f"assertion = {{ command = ['/bin/sh', '-c', 'touch {started}; sleep 100'] }}")
    host.save()
    child = subprocess.Popen([HOSTWARD, *host.words("drill", "shop")], env=host.environment)
    try:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert started.exists()
        assert len(list(host.scratch.iterdir())) == 1
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(60)
    host.configure("")
    host.call("drill", "shop")
    killed, done = host.drills()
    assert (killed.outcome, done.outcome) == ("failed", "done")
    assert "killed" in killed.message
    assert list(host.scratch.iterdir()) == []


def test_a_drill_that_is_ended_cleans_up_and_is_on_record(host: Host) -> None:
    """At once, by SIGTERM."""
    started = host.folder / "started"
    host.configure(f"assertion = {{ command = ['/bin/sh', '-c', 'touch {started}; sleep 100'] }}")
    host.save()
    child = subprocess.Popen([HOSTWARD, *host.words("drill", "shop")], env=host.environment)
    try:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        child.terminate()
        assert child.wait(60) == 128 + signal.SIGTERM
    finally:
        child.kill()
        child.wait(60)
    (kept,) = host.drills()
    assert (kept.outcome, kept.message) == ("failed", "ended by SIGTERM")
    assert list(host.scratch.iterdir()) == []


def test_a_job_that_saves_only_changes_is_as_young_as_its_last_run(host: Host) -> None:
    """A snapshot from some time ago that still holds all there is."""
    host.configure("", job="skip_if_unchanged = true")
    host.save()
    time.sleep(0.5)
    now = time.time()
    same = BackupRun(
        job="shop",
        source="files",
        repository=str(host.place.folder),
        started=now,
        finished=now,
        outcome="done",
        last_success=now,
    )
    book = Book(host.state, "backups", BackupRun)
    book.begin(Begun(name="shop", started=now, by="timetable")).end(lambda _: same)
    told = json.loads(host.call("drill", "shop", "--json"))
    assert told["recovery_point"] == pytest.approx(told["started"] - now, abs=0.01)
    assert told["started"] - told["snapshot_time"] > 0.5


def test_all_drills_are_shown_with_what_became_of_them(host: Host) -> None:
    """Also one that was never done, or that failed."""
    host.configure("rto = '4h'\n[drills.never]\nbackup = 'shop'\nquarterly = 'first sunday 01:00'\nkind = 'full'")
    host.call("drill", "shop", code=1)
    said = host.call("drill")
    assert "failed: no run of the job shop has made a snapshot" in said
    assert "never done" in said
    host.save()
    host.call("drill", "shop")
    shop, never = json.loads(host.call("drill", "--json"))["drills"]
    assert (shop["last"]["outcome"], shop["schedule"], shop["running_since"]) == ("done", "weekly sunday 04:00", None)
    assert (never["last"], never["kind"], never["next"]) == (None, "full", None)
    said = host.call("drill")
    assert "No agent runs here" in said
    assert max(map(len, said.splitlines())) <= 80
    host.file.write_text("")
    assert "no drills are configured" in host.call("drill")


def test_the_agent_is_told_in_the_shape_of_the_report(host: Host) -> None:
    """On standard output, whatever became of it; the agent puts it on record."""
    host.configure("")
    told: Any = json.loads(host.call("drill", "shop", "--for-agent"))
    assert (told["outcome"], told["name"]) == ("failed", "shop")
    assert host.drills() == []


def test_words_that_name_no_drill_are_bad_usage(host: Host) -> None:
    """With the one that was meant; so are drills of jobs that there are not."""
    host.configure("")
    assert "there is no drill" in host.call("drill", "shup", code=2)
    assert "expected 16 digits" in host.call("drill", "shop", "--seed", "1", code=2)
    host.file.write_text(host.file.read_text().replace('backup = "shop"', 'backup = "shap"'))
    assert 'there is no backup job "shap"; did you mean' in host.call("drill", "shop", code=2)
    host.configure("kind = 'database'")
    assert 'and "shop" saves files' in host.call("drill", "shop", code=2)
