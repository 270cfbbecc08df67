"""At least once on the wire, exactly once at home: proven by killing the real thing at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from agent.home import identity
from agent.home.spool import Spool
from agent.state import State
from tests.agent.home import server
from tests.agent.home.server import Behaviour, Home, count

PRODUCER = """
import random, sys, time
from pathlib import Path

from agent.home import identity
from agent.home.reporter import Reporter
from agent.home.sender import Sender
from agent.home.spool import Spool
from agent.state import State
from wire.report import Event, Reading

folder, producing = Path(sys.argv[1]), sys.argv[2] == "produce"
state = State.open(folder)
spool = Spool(state)
reporter = Reporter(state, spool, host="host-1", boot="boot-1")
sender = Sender(state, identity.load(folder), timeout=5, uniform=lambda low, high: random.uniform(0, 0.01))
sender.start()
end = time.monotonic() + 60
while time.monotonic() < end:
    left = state.outbox(1) or state.gaps(reported=False)
    if not (producing or left or spool.waiting().reports):
        break
    with state.transaction():
        readings, events = int(state.get("readings") or 0), int(state.get("events") or 0)
        if producing:
            state.enqueue([Reading("c", f"value_{readings + i}", i) for i in range(7)])
            state.enqueue(Event(time=1, kind="k", message=str(events)))
            state.put("readings", str(readings + 7))
            state.put("events", str(events + 1))
    if producing or left:
        reporter.compose(facts={}, interval=15, now=time.time(), max_size=random.choice([1500, 100000]), max_age=1e9)
    sender.wake()
    print("turn", flush=True)
    time.sleep(random.uniform(0, 0.02))
sender.stop(5)
print("empty", spool.waiting().reports, flush=True)
"""


def test_every_reading_is_at_home_once_or_counted_as_lost_once(tmp_path: Path) -> None:
    """Twelve kills -9 at random points, a home that takes and does not answer, a spool that overflows."""
    chance = random.Random(20)

    def usual(home: Home, request: server.Request, tls: object) -> bytes | None:
        behaviours: list[Behaviour] = [server.take] * 6 + [server.take_then_cut, server.cut, server.refuse("busy")]
        return chance.choice(behaviours)(home, request, tls)  # type: ignore[arg-type]  # the socket, as it came

    folder = tmp_path / "state"
    with Home(tmp_path) as home:
        home.usual = usual
        with closing(State.open(folder)):
            key = identity.prepare_key(folder)
        identity.save(folder, collector=home.url, host="host-1", name="web 1", ca=home.ca.read_bytes())
        home.enroll(folder, key)
        for _ in range(12):
            with start(folder, "produce") as process:
                assert process.stdout is not None
                process.stdout.readline()  # it runs
                time.sleep(chance.uniform(0, 0.5))
                process.send_signal(signal.SIGKILL)
                process.stdout.read()
        home.usual = server.take
        with start(folder, "drain") as process:
            output, _ = process.communicate(timeout=100)
        assert output.split()[-2:] == ["empty", "0"]
    with closing(State.open(folder)) as state:
        assert Spool(state).waiting().reports == 0
        assert state.outbox(1) == []
        produced = Counter(readings=int(state.get("readings") or 0), events=int(state.get("events") or 0))
    names = [reading.name for report in home.marks.taken for reading in report.readings]
    assert len(names) == len(set(names)), "nothing is there twice"
    assert home.marks.counts() == produced
    assert produced["readings"] > 12 * 7
    assert len(home.requests) > len(home.marks.taken), "some were sent more than once"
    assert sum((count(report) for report in home.marks.taken), Counter()) == produced


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    """A process that produces and sends, or only sends."""
    return subprocess.Popen([sys.executable, "-c", PRODUCER, str(folder), what], stdout=subprocess.PIPE, text=True)
