"""What is stored of a log is exact, whenever the agent is killed: counts and places are one transaction."""

from __future__ import annotations

import random
import sched
import selectors
from pathlib import Path

import msgspec
import pytest

from agent.checks.contract import CheckOptions
from agent.checks.log import LogOptions, Pattern
from agent.daemon.ledger import Ledger
from agent.daemon.rounds import Rounds
from agent.jobs.supervisor import Jobs
from agent.paths import System
from agent.state import State
from kit.units import Duration
from wire.report import Reading


class Agent:
    """Rounds of checks on a state that is on disk. The fork server runs as it does in the daemon."""

    def __init__(self, folder: Path, checks: dict[str, CheckOptions], ticks: float, boot: str) -> None:
        self.ticks = ticks
        self.state = State.open(folder)
        self.selector = selectors.DefaultSelector()
        self.scheduler = sched.scheduler(lambda: self.ticks)
        self.jobs = Jobs(self.selector)
        self.ledger = Ledger(self.state, boot)
        self.ledger.reporting = True
        self.rounds = Rounds(self.scheduler, self.jobs, self.ledger, System())
        self.rounds.replace(checks)

    def look(self, *, stored: bool) -> None:
        """One run; where it is not stored, the agent is killed before."""
        self.ticks += 60
        self.scheduler.run(blocking=False)
        while self.jobs.running:
            self.jobs.wait(10)
        if stored:
            self.ledger.flush(self.ticks)

    def kill(self) -> None:
        """Nothing of what it knew is left, but what is on disk."""
        self.rounds.stop()
        self.jobs.stop(1)
        self.selector.close()
        self.state.close()


@pytest.mark.parametrize("seed", range(3))
def test_every_line_is_in_one_stored_count(tmp_path: Path, seed: int) -> None:
    """Lines are written, the log is rotated, and the agent is killed before or after it stored what it found, or the
    host is booted: in the end the stored counts are those of the lines written."""
    chance = random.Random(seed)
    log = tmp_path / "app.log"
    log.touch()
    pattern = Pattern(name="p", match="line")
    options = LogOptions(type="log", files=(str(log),), patterns=(pattern,), every=Duration(60), timeout=Duration(60))
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    ticks, boots, written = 1000.0, 0, 0
    agent = Agent(state, {"app": options}, ticks, "boot-0")
    try:
        agent.look(stored=True)
        for round_number in range(20):
            for _ in range(chance.randrange(5)):
                written += 1
                with log.open("a") as file:
                    file.write(f"line {written}\n")
            if chance.random() < 0.3:
                log.rename(tmp_path / f"app.log.{round_number}")
                log.touch()
            survives = chance.random() < 0.6
            agent.look(stored=survives or chance.random() < 0.5)
            if not survives:
                agent.kill()
                boots += chance.random() < 0.3
                agent = Agent(state, {"app": options}, agent.ticks, f"boot-{boots}")
        agent.look(stored=True)
        totals = [
            reading.value
            for waiting in agent.state.outbox(10_000)
            if waiting.kind == "readings"
            for reading in msgspec.json.decode(waiting.row, type=list[Reading])
            if reading.name == "log_matches_total"
        ]
    finally:
        agent.kill()
    assert totals == sorted(totals)
    assert totals[-1] == written
