"""Backup jobs on the timetable: real runs, on record whatever becomes of them, and told home once."""

from __future__ import annotations

import sched
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from agent.backups.job.turn import try_turn
from agent.backups.plan import decode
from agent.backups.records import Begun, Book
from agent.config.load import load
from agent.daemon.backup_runs import Backups
from agent.daemon.ledger import Ledger
from agent.daemon.recorded import Recorded
from agent.daemon.timed import Timetable
from agent.jobs.run import Ended
from agent.jobs.supervisor import WITH_AGENT, Jobs
from agent.salvage import salvage
from agent.state import State
from tests.agent.cli.backup.repos import PASSWORD, Place
from wire.report import BackupRun

NIGHT = 20000 * 86400 + 2 * 3600.0
"""02:00 UTC."""


class World:
    """A host with a repository and an agent whose clock the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Place.make(folder / "repository")
        (folder / "etc").mkdir()
        (folder / "etc/file").write_text("content")
        secret = folder / "password"
        secret.touch(0o600)
        secret.write_text(PASSWORD + "\n")
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'[backups.etc]\nrepository = "{self.place.folder}"\npassword_file = "{secret}"\n'
            f'paths = ["{folder}/etc"]\ndaily = "02:00"\ntimezone = "UTC"\n'
        )
        self.wall = NIGHT - 3600
        self.selector = selectors.DefaultSelector()
        self.begin()

    def begin(self) -> None:
        """The agent starts, again perhaps."""
        self.state = State.open(self.folder / "state")
        self.scheduler = sched.scheduler(lambda: self.wall)
        self.jobs = Jobs(self.selector)
        self.ledger = Ledger(self.state, "boot")
        self.ledger.reporting = True
        self.timetable = Timetable(self.scheduler, self.ledger, self.state, host="h", clock=lambda: self.wall)
        self.backups = Recorded(
            Backups(),
            self.jobs,
            self.ledger,
            self.state,
            config=self.config,
            root_half=self.folder / "nobody.sock",
            clock=lambda: self.wall,
        )
        self.backups.look()
        self.timetable.replace(self.backups.adopt(load(self.config).backups))
        self.ledger.flush(self.wall)

    def stop(self) -> None:
        self.jobs.stop(1)
        self.ledger.flush(self.wall)
        self.state.close()

    def at(self, moment: float) -> None:
        """Both clocks go on to it."""
        self.wall = moment
        self.scheduler.run(blocking=False)

    def finish(self) -> None:
        while self.jobs.running:
            self.jobs.wait(10)
        self.ledger.flush(self.wall)

    @property
    def book(self) -> Book[BackupRun]:
        return Book(self.folder / "state", "backups", BackupRun)

    def told(self) -> list[BackupRun]:
        """What the next report takes along."""
        decoder = msgspec.json.Decoder(BackupRun)
        return [decoder.decode(row.row) for row in self.state.outbox(100) if row.kind == "backup"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An hour before."""
    made = World(tmp_path)
    yield made
    made.stop()
    made.selector.close()


def test_a_job_runs_at_its_time(world: World) -> None:
    """Its run is on record, home is told of it once, and the plan is there for the check."""
    world.at(NIGHT + 0.5)
    assert [begun.by for begun in world.book.going_on("etc")] == ["timetable"]
    world.finish()
    (one,) = world.book.runs("etc")
    assert (one.record.by, one.record.run.outcome, one.record.run.files) == ("timetable", "done", 1)
    assert one.record.run.next == NIGHT + 86400
    assert len(world.place.json("snapshots")) == 1
    world.backups.look()
    world.finish()
    assert world.told() == [one.record.run]
    world.stop()
    world.wall = one.record.run.started  # by its own clock
    world.begin()
    assert world.told() == [one.record.run]
    assert decode(world.book.plan())["etc"].since == NIGHT - 3600
    assert not world.jobs.running, "it was caught up on, though it had run"


def test_a_run_by_hand_is_told_too(world: World) -> None:
    """As soon as somebody looks; and it is no night that was missed."""
    begun = Begun(name="etc", started=NIGHT - 60, by="hand", repository="/srv", source="files")
    run = BackupRun(job="etc", source="files", repository="/srv", started=NIGHT - 60, finished=NIGHT, outcome="done")
    world.wall = NIGHT
    world.book.begin(begun).end(lambda before: run)
    world.backups.look()
    world.ledger.flush(world.wall)
    assert world.told() == [run]
    assert world.backups.last("etc") == NIGHT - 60


def test_an_agent_that_is_killed_leaves_a_lost_run(world: World) -> None:
    """Which the next one puts on record, and tells."""
    code = (
        "import sys, os, signal; from pathlib import Path; from agent.backups.records import Begun, Book;"
        "from wire.report import BackupRun; book = Book(Path(sys.argv[1]), 'backups', BackupRun);"
        "held = book.begin(Begun(name='etc', started=1.0, by='timetable', repository='/srv', source='files'));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(world.folder / "state")], check=False, timeout=60)
    world.stop()
    world.begin()
    assert [run.outcome for run in world.told()] == ["failed"]
    assert "killed" in world.told()[0].message
    assert "killed" in world.state.events()[0].message


def test_a_run_that_ends_with_the_agent_is_a_failed_one(world: World) -> None:
    """And not lost: it is told at once, and made up for when the agent is back."""
    world.at(NIGHT + 0.5)
    world.stop()
    (one,) = world.book.runs("etc")
    assert (one.record.run.outcome, one.record.run.message) == ("failed", WITH_AGENT)
    world.begin()
    assert len(world.told()) == 1
    assert world.jobs.running == {"backup:etc"}
    world.finish()
    assert world.book.runs("etc")[-1].record.run.outcome == "done"


def test_what_says_nothing_has_failed(world: World) -> None:
    """With the reason that is known from outside, be it a mistake in the configuration or root's half."""
    options = load(world.config).backups["etc"]
    begun = Backups().begun("etc", options, NIGHT)
    for output, message in ((b"", "exit code 2: no such job"), (b"{]", "ended by SIGKILL")):
        recording = world.book.begin(begun)
        end = Ended("x", "failed", 2, output, b"", False, NIGHT, NIGHT + 1, 0.0, 0, message)
        world.backups._ended(begun, options, recording, end)
        assert world.book.runs("etc")[-1].record.run.message == message
    privileged = world.config.read_text() + "[backups.etc.privileged]\n"
    world.config.write_text(privileged)
    world.timetable.replace(world.backups.adopt(load(world.config).backups))
    world.at(NIGHT + 0.5)
    world.finish()
    assert "root's half of the agent does not listen" in world.book.runs("etc")[-1].record.run.message


def test_a_full_disk_keeps_no_run_from_being_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on no record then, but home hears of it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Book, "begin", full)
    world.at(NIGHT + 0.5)
    world.finish()
    assert [run.outcome for run in world.told()] == ["done"]
    assert world.book.runs("etc") == []


def test_it_waits_for_who_works_on_the_repository_by_hand(world: World) -> None:
    """Root's half may not see who that is, so the agent waits for both. Then nobody else has its turn."""
    give_back = try_turn(world.folder / "state", [f"{world.place.folder}/"])
    assert give_back is not None
    world.at(NIGHT + 0.5)
    world.timetable.look()
    assert not world.jobs.running
    assert world.book.going_on("etc") == []
    give_back()
    world.timetable.look()
    assert world.jobs.running
    assert try_turn(world.folder / "state", [str(world.place.folder)]) is None
    world.finish()
    assert [one.record.run.outcome for one in world.book.runs("etc")] == ["done"]
    give_back = try_turn(world.folder / "state", [str(world.place.folder)])
    assert give_back is not None
    give_back()


def _whatever_was_before(run: BackupRun, _before: Sequence[BackupRun]) -> BackupRun:
    return run


def put_on_record(world: World, *started: float) -> list[BackupRun]:
    runs = [
        BackupRun(job="etc", source="files", repository="/srv", started=one, finished=one + 1, outcome="done")
        for one in started
    ]
    for run in runs:
        begun = Begun(name="etc", started=run.started, by="hand")
        world.book.begin(begun).end(partial(_whatever_was_before, run))
    world.backups.look()
    world.ledger.flush(world.wall)
    return runs


def test_records_that_somebody_removed_begin_anew(world: World) -> None:
    """Home hears of what comes then, though it has numbers that were told before."""
    told = put_on_record(world, 1.0, 2.0, 3.0)
    for file in (world.folder / "state/backups/etc").iterdir():
        file.unlink()
    assert world.told() == told
    told += put_on_record(world, 4.0)
    assert world.told() == told


def test_what_was_told_is_known_to_a_new_state(world: World) -> None:
    """Whether the agent runs when the old one is damaged, or finds it so."""
    put_on_record(world, 1.0, 2.0)
    world.state.close()
    folder = world.folder / "state"
    aside = (folder / "agent.db").rename(folder / "aside.db")
    world.state = State.open(folder)
    world.ledger.begin_anew(world.state)
    world.backups.begin_anew(world.state)
    world.backups.look()
    world.ledger.flush(world.wall)
    assert world.told() == []
    world.stop()
    (folder / "agent.db").unlink()
    state = State.open(folder)
    salvage(aside, state, rows=False, now=NIGHT)
    state.close()
    world.begin()
    assert world.told() == []


def test_a_run_by_a_clock_that_was_ahead_is_none_that_was_on_time(world: World) -> None:
    """Else nothing would be caught up on until then."""
    put_on_record(world, NIGHT - 9000, NIGHT + 9999 * 86400)
    assert world.backups.last("etc") == NIGHT - 9000
    world.wall = NIGHT + 9999 * 86400
    world.backups.adopt({})
    world.backups.adopt(load(world.config).backups)
    world.wall = NIGHT
    world.backups.clock_set()
    assert decode(world.book.plan())["etc"].since == NIGHT


def test_a_job_that_is_turned_off_is_not_planned(world: World) -> None:
    """The check knows it still, as one by hand."""
    world.config.write_text(world.config.read_text() + "enabled = false\n")
    assert world.backups.adopt(load(world.config).backups) == {}
    assert decode(world.book.plan())["etc"].schedule == {}
