"""A job whose watcher says which folders changed, while its runs meet faults."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backup.repository.locks import remove_locks
from backup.stores.contract import FileKind
from backup.stores.spool import ABANDONED
from tests.backup.faulty import EVERYWHERE, FAULTS, Fault
from tests.faults.backup.ground import HOST, HOSTWARD, Ground, back_up, names, opened, spooled, tree_at
from tests.faults.backup.trial import Outcome, Trials, faults
from tests.peers import every_restic

FED = "in which something changed"
"""What a run says that scans only what its watcher names."""


@dataclass
class Job:
    """A watched folder, and where it is saved."""

    trials: Trials
    folder: Path
    place: Path
    source: Path
    snapshots: set[str] = field(default_factory=set)
    changes: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOSTWARD_CONFIG": str(self.folder / "agent.toml"),
            "HOSTWARD_RUN_DIR": str(self.folder / "run"),
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
        }

    @contextmanager
    def watched(self) -> Iterator[None]:
        """By a watcher that is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(self.folder / "ready"))
            listener.settimeout(60)
            environment = {**os.environ, **self.environment, "NOTIFY_SOCKET": str(self.folder / "ready")}
            with subprocess.Popen([str(HOSTWARD), "backup", "watch", "job"], env=environment) as watcher:
                try:
                    assert b"READY=1" in listener.recv(1000)
                    yield
                finally:
                    watcher.kill()

    def run(self, fault: Fault | None = None) -> Outcome:
        """The job, by a process of its own."""
        meets = fault and [fault.operation, fault.at, fault.what]
        place = str(self.place)
        return self.trials.life(place, "run", "job", environment=self.environment, faulty=place, fault=meets)

    def change(self) -> None:
        """One file is new and one is another."""
        self.changes += 1
        (self.source / "deep/er" / f"new{self.changes}").write_bytes(os.urandom(5000))
        (self.source / f"file{self.changes % 6}").write_bytes(os.urandom(3000 + self.changes))

    def saved(self) -> None:
        """The newest snapshot is what is there now."""
        scratch = Path(shutil.copytree(self.place, self.folder / "scratch"))
        expected = tree_at(scratch, back_up(scratch, self.source, force=True), self.source)
        shutil.rmtree(scratch)
        newest = opened(self.place).snapshots()[-1]
        assert tree_at(self.place, newest.id, self.source) == expected
        self.snapshots.add(newest.id)

    def ends_well(self) -> Outcome:
        """The next run does all that there is to do."""
        outcome = self.run()
        assert outcome.code == 0, outcome.said
        assert not spooled(self.place) and not names(self.place, FileKind.LOCK)
        self.saved()
        return outcome

    def outlive(self, fault: Fault, program: Path) -> None:
        """Something changes, and the run that should save it meets a fault."""
        self.change()
        outcome = self.run(fault)
        assert outcome.code <= 3 and outcome.met, outcome
        remove_locks(opened(self.place), all=False, now=0)
        self.trials.ground.accepts(self.place, self.snapshots, programs=[program])
        for path in spooled(self.place):
            os.utime(path, (0, path.stat().st_mtime - ABANDONED - 1))
        if fault.at % 2:
            self.change()
        self.ends_well()


@pytest.fixture
def job(trials: Trials, ground: Ground, tmp_path: Path) -> Iterator[Job]:
    job = Job(trials, tmp_path, ground.copy("aged", tmp_path / "repository"), tmp_path / "source")
    shutil.copytree(ground.source, job.source)
    (tmp_path / "agent.toml").write_text(
        f'[backups.job]\nrepository = "{job.place}"\npassword_file = "{ground.top}/password-one"\n'
        f'paths = ["{job.source}"]\nhost = "{HOST}"\nwatch = true\n'
    )
    job.snapshots |= names(job.place, FileKind.SNAPSHOT)
    with job.watched():
        yield job


@pytest.mark.parametrize("what", [*EVERYWHERE, *FAULTS["save"], *FAULTS["load"]])
def test_a_fault_in_a_watched_run(job: Job, what: str) -> None:
    """What changed before it, and what changes after it, is in the next snapshot; nothing is lost."""
    assert "scanning everything" in job.ends_well().said
    job.change()
    calls = job.run()
    assert calls.code == 0 and FED in calls.said, calls.said
    job.saved()
    places = list(faults(calls.calls, what))
    for fault in places[:: max(len(places) // 2, 1)]:
        job.outlive(fault, every_restic()[fault.at % 2])
    job.ends_well()
    job.change()
    assert FED in job.ends_well().said
