"""What the children of a zygote do: short lives of an agent and of a home, each of which may end at any commit."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from agent.checks.runner import Judged, Memory
from agent.daemon.ledger import Ledger
from agent.home import identity
from agent.home.reporter import Reporter
from agent.home.sender import Sender
from agent.home.spool import Spool
from agent.state import State
from collector.cli import main as collector
from tests.faults.fuse import arm
from wire.report import CheckState, Event, JobResult, Reading

PATIENCE = 60.0


class Life:
    """The agent's parts, as the daemon puts them together, without its clock."""

    def __init__(self, folder: Path) -> None:
        found = identity.load(folder)
        assert found is not None
        self.state = State.open(folder)
        self.ledger = Ledger(self.state, "boot-1")
        self.ledger.reporting = True
        self.spool = Spool(self.state)
        self.reporter = Reporter(self.state, self.spool, host=found.host, boot="boot-1")
        self.sender = Sender(self.state, found, timeout=20, uniform=lambda low, high: 0.05)

    def turn(self) -> None:
        """One turn of the loop in which everything happened that can happen."""
        now = time.time()
        for number in range(5):
            reading = Reading("c", "turn", now + number, "", {"number": str(number)}, now)
            check = CheckState(name=f"c{number}", kind="c", state="ok", message="", since=now, time=now, interval=1)
            self.ledger.judged(Judged(check, [reading], Memory(kind="c", state="ok", since=now), None))
        self.ledger.event(Event(time=now, kind="k", message=f"turn {now!r}"))
        self.ledger.job(JobResult(name="j", started=now, finished=now, outcome="done"), keep=3)
        self.ledger.flush(now)

    def compose(self, max_size: int = 1 << 20) -> None:
        """A report."""
        self.reporter.compose(facts={"os": "x"}, interval=15, now=time.time(), max_size=max_size, max_age=1e9)
        self.sender.wake()

    def deliver(self) -> None:
        """Until home has all of it, and knows what was lost."""
        end = time.monotonic() + PATIENCE
        while self.spool.waiting().reports or self.state.outbox(1) or self.state.gaps(reported=False):
            assert time.monotonic() < end, "it was not delivered"
            if not self.spool.waiting().reports:
                self.compose()
            time.sleep(0.002)


def agent(folder: str, burns_at: int) -> None:
    """Home is away at first, so that reports wait and are trimmed; then they and another go home."""
    arm(burns_at)
    life = Life(Path(folder))
    for _ in range(3):
        life.turn()
        life.compose(max_size=1)
    life.sender.start()
    life.deliver()
    life.turn()
    life.compose()
    life.deliver()
    assert life.sender.stop(PATIENCE)
    life.state.close()


def home(folder: str, port: int, burns_at: int) -> None:
    """Serve until a signal, or until it burns."""
    arm(burns_at)
    words = ["serve", "--data-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
    sys.argv = ["hostward-collector", *words]
    assert collector() == 0
